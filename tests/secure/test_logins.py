"""Logins and certificates at a real broker: what passes, and what each wrong one is told; no secret in any word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from joserfc import jwt
from joserfc.jwk import ECKey

from stream.bench.load_process import connection
from stream.cli.service_checks import PAUSE_S
from stream.kafka.clients import provisioning
from stream.kafka.clients.clients import KafkaUnreachable
from stream.kafka.clients.security import KafkaRefuses, librdkafka_security
from tests.certificates import Authority
from tests.e2e.cli import liveness
from tests.e2e.installation import Installation
from tests.e2e.workers import LIVENESS, START_S
from tests.secure.secure_pair import SecurePair
from tests.tls_relay import TlsRelay

pytestmark = [pytest.mark.local_services, pytest.mark.slow]

WRONG = "wrong-Zebra-password"
BEARER = {"kafka__sasl_mechanism": "OAUTHBEARER", "kafka__sasl_username": "", "kafka__sasl_password_file": ""}
Changed = dict[str, str]


@pytest.fixture
def installation(secure: SecurePair, tmp_path: Path) -> Installation:
    return Installation(secure.environment, tmp_path, partitions=1)


@pytest.fixture
def at_mutual(secure: SecurePair) -> Callable[..., Changed]:
    """Settings for the listener that asks for a certificate and no login."""

    def changed(certificate: Path | str, key: Path | str) -> Changed:
        address = f"127.0.0.1:{secure.port('mutual')}"
        off = dict.fromkeys(("sasl_mechanism", "sasl_username", "sasl_password_file"), "")
        tls = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
        given = {"bootstrap_servers": address, "security_protocol": "SSL", **off, **tls}
        return {f"kafka__{name}": value for name, value in given.items()}

    return changed


def token(secrets: Path, key: Any = None, **claims: Any) -> Changed:
    """Settings with the file of a token of the admin, by the key that the broker knows or another."""
    now = int(time.time())
    key = key or ECKey.import_key((secrets / "tokens.key").read_bytes())
    text = jwt.encode(
        {"alg": "ES256", "kid": "local"},
        {"sub": "admin", "aud": "kafka", "iat": now, "exp": now + 600, **claims},
        key,
    )
    file = secrets / "token"
    file.write_text(f"{text}\n")
    return {**BEARER, "kafka__sasl_token_file": str(file)}


async def ask(installation: Installation, changed: Changed) -> list[str]:
    """Words of the broker about the topics, for this user."""
    return [state.in_words for state in await provisioning.check(installation.restarted(**changed).settings.kafka)]


async def test_each_login_passes(secure, installation, at_mutual):
    """The user of the client certificate may see no topic, which the broker tells only to who has logged in."""
    plain = {"kafka__sasl_mechanism": "PLAIN"}
    by_name = {"kafka__bootstrap_servers": f"localhost:{secure.port('client')}"}
    for changed in (
        {},
        plain,
        {"kafka__sasl_mechanism": "SCRAM-SHA-256"},
        token(secure.secrets),
        {**by_name, "kafka__ssl_check_hostname": "false"},
    ):
        assert set(await ask(installation, changed)) == {"topic is missing"}, changed
    client = at_mutual(secure.secrets / "client.pem", secure.secrets / "client.key")
    assert all("access is refused" in words for words in await ask(installation, client))


async def test_token_is_read_again(secure, installation):
    """The token of the first connection has ended when the next is made: the file then holds another."""
    changed = token(secure.secrets)
    settings = installation.restarted(**changed).settings
    await provisioning.check(settings.kafka)
    token(secure.secrets, exp=int(time.time()) - 5)
    with pytest.raises(KafkaUnreachable, match=r"the token in kafka\.sasl_token_file has ended"):
        await provisioning.check(settings.kafka)
    token(secure.secrets)
    await provisioning.check(settings.kafka)


async def test_token_of_the_load_generator(secure, installation):
    settings = installation.restarted(**token(secure.secrets)).settings
    plan = {
        "bootstrap_servers": settings.kafka.bootstrap_servers,
        "security": librdkafka_security(settings.kafka),
        "token_file": settings.kafka.sasl_token_file,
    }
    producer = Producer(connection(plan))
    producer.poll(0)  # as the generator does, and librdkafka asks for the token
    assert (await asyncio.to_thread(producer.list_topics, timeout=30)).brokers


async def test_wrong_logins(secure, installation):
    for changed, words in (
        ({"kafka__sasl_password_file": "", "kafka__sasl_password": WRONG}, "the broker refuses this user"),
        ({"kafka__sasl_username": "nobody"}, "the broker refuses this user"),
        (
            {"kafka__sasl_mechanism": "PLAIN", "kafka__sasl_password_file": "", "kafka__sasl_password": WRONG},
            "the broker refuses this user",
        ),
        (token(secure.secrets, key=ECKey.generate_key("P-256")), "kafka.sasl_token_file: the broker refuses"),
    ):
        with pytest.raises(KafkaRefuses, match=words) as told:
            await ask(installation, changed)
        assert WRONG not in str(told.value)


async def test_wrong_certificates(secure, installation, at_mutual, relay: TlsRelay, tmp_path):
    """A listener that wants a login or certificate says nothing to a client without; an ended certificate and a name
    that isn't the certificate's are told before any login."""
    stranger = Authority(tmp_path, "stranger")
    ended = stranger.issue("ended", life=timedelta(days=-1)).server()
    nowhere = await relay.to(("127.0.0.1", 9), ended)
    off = {f"kafka__{name}": "" for name in ("sasl_mechanism", "sasl_username", "sasl_password_file")}
    client = stranger.issue("mutual")
    for changed, words in (
        ({"kafka__ssl_cafile": str(stranger.file)}, r"the certificate isn't accepted \(.*issuer"),
        ({"kafka__bootstrap_servers": f"localhost:{secure.port('client')}"}, "Hostname mismatch"),
        (
            {"kafka__bootstrap_servers": f"127.0.0.1:{nowhere}", "kafka__ssl_cafile": str(stranger.file)},
            "certificate has expired",
        ),
        ({**off, "kafka__security_protocol": "SSL"}, "is this its SSL listener"),
        ({**off, "kafka__security_protocol": "PLAINTEXT", "kafka__ssl_cafile": ""}, "another kafka.security_protocol"),
        (at_mutual(client.certificate, client.key), "the client certificate it wants"),
        (at_mutual("", ""), "the client certificate it wants"),
    ):
        with pytest.raises(KafkaUnreachable, match=words):
            await ask(installation, changed)


async def test_codes_and_lines(secure, installation):
    """Codes of the documents, one line that says why, and no secret; a refused worker is not back at once."""
    began = time.monotonic()
    wrong = {"kafka__sasl_password_file": "", "kafka__sasl_password": WRONG}
    worker = installation.workers.start(LIVENESS, **wrong)
    wrong_redis = installation.restarted(redis__password_file="", redis__password=WRONG)
    by_name = installation.restarted(kafka__bootstrap_servers=f"localhost:{secure.port('client')}")
    code, of_redis, of_tls = await asyncio.gather(
        worker.ended(START_S),
        liveness(wrong_redis, "abuse", "list", expect=2),
        liveness(by_name, "topics", "list", expect=3),
    )
    assert code == 2
    assert time.monotonic() - began > PAUSE_S
    (said,) = worker.events("wrong_settings")
    assert "kafka.sasl_password: the broker refuses this user" in said["why"]
    assert "redis.url: Redis refuses this client" in of_redis.err
    assert "Hostname mismatch" in of_tls.err
    for output in (worker.output, of_redis.err, of_tls.err, secure.started):
        assert "Traceback" not in output
        assert not [secret for secret in (WRONG, *secure.passwords()) if secret in output]
