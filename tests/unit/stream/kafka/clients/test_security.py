"""Security of the clients: what each library is given, tokens from a file, words for a right that lacks."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from config.groups.services import KafkaSettings
from config.settings import Settings
from stream.kafka.clients.access import Principal, as_kafka_acls, grants
from stream.kafka.clients.security import KafkaRefuses, TokenFile, client_security, lacking, librdkafka_security
from stream.kafka.consumer.app import BrokerWatch
from stream.runtime.patience import RetryPolicy
from tests.certificates import Authority

SECRET = "Zebra-password"
LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "liveness", "sasl_password": SECRET}


def jwt(exp: object) -> str:
    parts = ({"alg": "none"}, {"sub": "liveness", "exp": exp})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_same_for_both_libraries(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    kafka = KafkaSettings(security_protocol="SASL_SSL", ssl_cafile=authority.file, **LOGIN)
    given, librdkafka = client_security(kafka), librdkafka_security(kafka)
    assert given["sasl_plain_password"] == librdkafka["sasl.password"] == SECRET
    assert (given["security_protocol"], librdkafka["security.protocol"]) == ("SASL_SSL", "SASL_SSL")
    assert given["ssl_context"].check_hostname
    assert librdkafka["ssl.endpoint.identification.algorithm"] == "https"
    embedded = kafka.model_copy(update={"embedded": True})
    assert (client_security(embedded), librdkafka_security(embedded)) == ({"security_protocol": "PLAINTEXT"}, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read"),
        (b"", "holds no token"),
        (b"two words", "holds no token"),
        (b"\xff", "can't be read"),
        (b"t" * 70_000, "holds no token"),
        (jwt(1).encode(), "has ended"),
    ],
)
async def test_file_without_valid_token(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KafkaConnectionError, match=rf"kafka\.sasl_token_file.*{words}|token.*{words}"):
        await TokenFile(file).token()


async def test_token_as_it_is_now(tmp_path: Path) -> None:
    """A token that isn't a JWT, or names no readable end, is the broker's to judge."""
    file = tmp_path / "token"
    for token in ("opaque", jwt(2**33), jwt("soon"), jwt(None), "a.b.c", "a." + "[" * 9999):
        file.write_text(f" {token}\n")
        assert await TokenFile(file).token() == token


def test_words_for_lacking_rights() -> None:
    topic, group = TopicAuthorizationFailedError({"eu.decisions"}), GroupAuthorizationFailedError("liveness")
    assert "the topic eu.decisions (TopicAuthorizationFailedError)" in lacking(topic)
    assert "the consumer group liveness" in lacking(group)
    assert "\n" not in lacking(TopicAuthorizationFailedError("a topic\nof a stranger"))


async def test_watch_ends_worker_whose_login_is_refused() -> None:
    """A password that was changed at the broker is told once connections are made anew; waiting doesn't help."""

    async def refuse() -> str | None:
        raise KafkaRefuses("no longer")

    class Away:
        async def maybe_start_producer(self) -> None:
            raise KafkaConnectionError

    watch = BrokerWatch(Away(), RetryPolicy(), Settings().delivery, refuse)  # type: ignore[arg-type]
    with pytest.raises(KafkaRefuses):
        await asyncio.wait_for(watch._look(), 5)


def test_each_principal_has_grants() -> None:
    made = list(grants(Settings(kafka=KafkaSettings(topic_prefix="eu."))))
    assert {grant.principal for grant in made} == set(Principal)
    assert all(grant.name.startswith("eu.") for grant in made)
    line = as_kafka_acls(made[0], "User:CN=onboarding, O=Bank", "kafka:9093", "admin.conf")
    assert "--allow-principal 'User:CN=onboarding, O=Bank' --operation Write --topic eu.liveness.submissions" in line
