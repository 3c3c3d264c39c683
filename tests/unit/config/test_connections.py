"""TLS and logins in the settings: combinations refused by name, files that can't be used, secrets from files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import SettingsError
from config.secret_files import LARGEST_BYTES
from config.settings import Settings, load
from stream.redis.node import TlsConnection, connection_options
from tests.certificates import Authority

SECRET = "Zebra-Secret"
Have = Callable[..., None]


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Have:
    def have(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"LIVENESS_{name}", str(value))

    return have


def refused() -> str:
    with pytest.raises(SettingsError) as error:
        load()
    assert SECRET not in str(error.value)
    return str(error.value)


SSL = {"KAFKA__SECURITY_PROTOCOL": "SSL"}
SASL = {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}
SCRAM = {**SASL, "KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"}
LOGIN = {"KAFKA__SASL_USERNAME": "liveness", "KAFKA__SASL_PASSWORD": SECRET}
BEARER = {**SASL, "KAFKA__SASL_MECHANISM": "OAUTHBEARER"}
TLS = {"REDIS__URL": "rediss://redis:6379/0"}

#: Variables -> the setting that is named.
REFUSED = [
    ({"KAFKA__SECURITY_PROTOCOL": "TLS"}, "kafka.security_protocol: "),
    ({"KAFKA__SSL_CHECK_HOSTNAME": "false"}, "kafka.ssl_check_hostname: security_protocol PLAINTEXT has no TLS"),
    (LOGIN, "kafka.sasl_username: security_protocol PLAINTEXT has no login"),
    ({**SSL, **LOGIN}, "kafka.sasl_username: security_protocol SSL has no login"),
    ({**SASL, **LOGIN}, "kafka.sasl_mechanism: "),
    ({**SASL, **LOGIN, "KAFKA__SASL_MECHANISM": "GSSAPI"}, "kafka.sasl_mechanism: "),
    ({**SCRAM, "KAFKA__SASL_PASSWORD": SECRET}, "kafka.sasl_username: SCRAM-SHA-512 needs a user"),
    ({**SCRAM, "KAFKA__SASL_USERNAME": "liveness", "KAFKA__SASL_PASSWORD": ""}, "kafka.sasl_password: SCRAM-SHA-512"),
    ({**SCRAM, **LOGIN, "KAFKA__SASL_TOKEN_FILE": "/t"}, "kafka.sasl_token_file: SCRAM-SHA-512 has no token"),
    (BEARER, "kafka.sasl_token_file: OAUTHBEARER needs"),
    ({**BEARER, **LOGIN, "KAFKA__SASL_TOKEN_FILE": "/t"}, "kafka.sasl_username: OAUTHBEARER has no user"),
    ({**SCRAM, **LOGIN, "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "set allow_sasl_plaintext"),
    ({**SSL, "KAFKA__SSL_KEYFILE": "/k"}, "kafka.ssl_keyfile: there is no ssl_certfile"),
    ({**SSL, "KAFKA__SSL_KEY_PASSWORD": SECRET}, "kafka.ssl_key_password: there is no ssl_certfile"),
    ({**SSL, "KAFKA__SSL_CAFILE": "/missing"}, "kafka.ssl_cafile: /missing can't be read (No such file"),
    ({**TLS, "REDIS__SSL_CAFILE": "/missing"}, "redis.ssl_cafile: /missing can't be read (No such file"),
    ({**TLS, "REDIS__SSL_CERTFILE": "/missing"}, "redis.ssl_certfile: /missing can't be read (No such file"),
    *(
        ({**url, "REDIS__SSL_CAFILE": "/ca"}, "redis.ssl_cafile: the address has no TLS")
        for url in ({}, {"REDIS__URL": "unix:///run/redis.sock"})
    ),
    ({"REDIS__SSL_VERIFY": "false"}, "redis.ssl_verify: the address has no TLS"),
    ({"REDIS__URL": "rediss://r?ssl_cert_reqs=none"}, "redis.url: give ssl_cert_reqs as LIVENESS_REDIS__SSL_VERIFY"),
    ({"REDIS__URL": "rediss://r?ssl%5Fcert_reqs=none"}, "redis.url: give ssl_cert_reqs as"),
    ({"REDIS__URL": "rediss://r?ssl_min_version=772"}, "redis.url: an ssl_ option"),
    *(
        ({"REDIS__URL": url, "REDIS__PASSWORD": SECRET}, "redis.password: the address names")
        for url in (f"redis://:{SECRET}@r", f"redis://r?password={SECRET}")
    ),
    ({"REDIS__USERNAME": "liveness"}, "redis.password: the user has none"),
]


@pytest.mark.parametrize(("variables", "named"), REFUSED)
def test_combination_refused(have, variables, named):
    have(**variables)
    assert named in refused()


#: Address -> options of the connection.
TAKEN = {
    "unix:///run/redis.sock?password=zebra&db=2": {"path": "/run/redis.sock", "password": "zebra", "db": 2},
    "redis://r:7000?username=ann&password=zebra": {"host": "r", "username": "ann", "password": "zebra"},
    "REDISS://r": {"host": "r", "connection_class": TlsConnection},
}


@pytest.mark.parametrize(("address", "options"), TAKEN.items())
def test_address_taken(have, address, options):
    """Addresses without TLS or logins mean what they meant."""
    have(REDIS__URL=address)
    assert options.items() <= connection_options(load().redis).items()


@pytest.mark.parametrize("group", ["KAFKA", "REDIS"])
def test_files_of_certificates(have, tmp_path, group):
    """Right files pass; each wrong one is named."""
    authority = Authority(tmp_path)
    ours, other = authority.issue("client", password=SECRET), authority.issue("other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    right = {"CAFILE": authority.file, "CERTFILE": ours.certificate, "KEYFILE": ours.key, "KEY_PASSWORD": SECRET}
    wrong = [
        ({"CAFILE": text}, "ssl_cafile: ", "holds no certificate"),
        ({"CAFILE": tmp_path}, "ssl_cafile: ", "can't be read"),
        ({"KEY_PASSWORD": ""}, "ssl_certfile: ", "is ssl_key_password right?"),
        ({"CERTFILE": text}, "ssl_certfile: ", "are they PEM"),
        ({"KEYFILE": other.key}, "ssl_keyfile: ", "doesn't belong to the certificate"),
        ({"KEYFILE": tmp_path / "missing"}, "ssl_keyfile: ", "can't be read"),
    ]
    have(**(SSL if group == "KAFKA" else TLS))
    for changed, *named in ({}, ""), *wrong:
        have(**{f"{group}__SSL_{name}": value for name, value in {**right, **changed}.items()})
        if not changed:
            assert load()
            continue
        told = refused()
        assert all(words in told for words in (f"{group.lower()}.{named[0]}", *named[1:])), told


def test_secret_from_file_or_folder(have, tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / "LIVENESS_KAFKA__SASL_PASSWORD").write_text("folder's\n")
    (folder / "..data").mkdir()
    (folder / "of-another-program").write_text("x")
    have(**SCRAM, KAFKA__SASL_USERNAME="liveness", SECRETS_DIR=folder)
    assert _password(load()) == "folder's"

    file = tmp_path / "password"
    file.write_text(f"{SECRET} \r\n")
    have(KAFKA__SASL_PASSWORD_FILE=file)
    assert _password(load()) == f"{SECRET} "
    have(KAFKA__SASL_PASSWORD="")
    assert _password(load()) == f"{SECRET} ", "an empty variable is an unset one"

    have(ABUSE__HASH_KEYS_FILE=tmp_path / "keys")
    (tmp_path / "keys").write_text('[{"id": "k1", "secret": "' + SECRET * 3 + '"}]')
    assert load().abuse.hash_keys[0].id == "k1"
    (tmp_path / "keys").write_text(SECRET)
    assert "LIVENESS_ABUSE__HASH_KEYS must be a JSON list" in refused()


def test_variable_of_another_program(monkeypatch):
    monkeypatch.setenv("liveness_port", "8080")
    assert load().kafka.security_protocol == "PLAINTEXT"


def test_secret_through_pipe(have, tmp_path):
    """A shell's `<(...)` can be read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=("zebra\n",), daemon=True).start()
    have(REDIS__PASSWORD_FILE=pipe)
    password = load().redis.password
    assert password is not None
    assert password.get_secret_value() == "zebra"


def _password(settings: Settings) -> str:
    assert settings.kafka.sasl_password is not None
    assert SECRET not in repr(settings)
    return settings.kafka.sasl_password.get_secret_value()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read (No such file"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is no text"),
        (b"s" * (LARGEST_BYTES + 1), "is too large"),
    ],
)
def test_unusable_file_of_secret(have, tmp_path: Path, content, words):
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    have(REDIS__PASSWORD_FILE=file)
    assert f"LIVENESS_REDIS__PASSWORD_FILE: {file} {words}" in refused()


def test_misplaced_secrets_refused(have, tmp_path):
    have(REDIS__PASSWORD_FILE="/x", REDIS__PASSWORD=SECRET)
    assert "LIVENESS_REDIS__PASSWORD and LIVENESS_REDIS__PASSWORD_FILE are both set" in refused()
    have(REDIS__PASSWORD_FILE="", SECRETS_DIR=tmp_path / "missing")
    assert "LIVENESS_SECRETS_DIR: " in refused()
    (tmp_path / "LIVENESS_KAFKA__SASL_PASWORD").write_text(SECRET)
    have(SECRETS_DIR=tmp_path)
    assert "kafka.sasl_pasword: is not a setting" in refused()


def test_what_is_switched_off_is_told(have):
    assert load().kafka.weakened() + load().redis.weakened() == []
    plain = {**SCRAM, **LOGIN, "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA__ALLOW_SASL_PLAINTEXT": "true"}
    have(**plain, **TLS, REDIS__SSL_VERIFY="false")
    assert load().kafka.weakened() + load().redis.weakened() == ["kafka.allow_sasl_plaintext", "redis.ssl_verify"]
    have(KAFKA__SECURITY_PROTOCOL="SASL_SSL", KAFKA__SSL_CHECK_HOSTNAME="false", REDIS__SSL_VERIFY="true")
    have(REDIS__SSL_CHECK_HOSTNAME="false")
    assert load().kafka.weakened() + load().redis.weakened() == ["kafka.ssl_check_hostname", "redis.ssl_check_hostname"]
