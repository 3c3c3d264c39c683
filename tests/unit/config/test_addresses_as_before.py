"""Addresses and variables of installations without TLS or logins, which mean what they meant; and options of an address
that would have no effect, which are refused."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from config.errors import SettingsError
from config.settings import load
from stream.redis.node import TlsConnection, connection_options

#: Address -> options of the connection.
TAKEN = {
    "unix:///run/redis.sock?password=zebra&db=2": {"path": "/run/redis.sock", "password": "zebra", "db": 2},
    "redis://r:7000?username=ann&password=zebra": {"host": "r", "username": "ann", "password": "zebra"},
    "REDISS://r": {"host": "r", "connection_class": TlsConnection},
}


@pytest.mark.parametrize(("address", "options"), TAKEN.items())
def test_address_taken(monkeypatch: pytest.MonkeyPatch, address: str, options: dict[str, object]) -> None:
    monkeypatch.setenv("LIVENESS_REDIS__URL", address)
    assert options.items() <= connection_options(load().redis).items()


REFUSED = [
    ({"URL": "rediss://r?ssl_min_version=772"}, "redis.url: an ssl_ option"),
    ({"URL": "rediss://r?ssl%5Fcert_reqs=none"}, "redis.url: give ssl_cert_reqs as"),
    ({"URL": "unix:///run/redis.sock", "SSL_CAFILE": "/ca"}, "redis.ssl_cafile: the address has no TLS"),
    ({"URL": "redis://r?password=zebra", "PASSWORD": "lion"}, "redis.password: the address names"),
]


@pytest.mark.parametrize(("variables", "words"), REFUSED)
def test_option_without_effect(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LIVENESS_REDIS__{name}", value)
    with pytest.raises(SettingsError) as told:
        load()
    assert words in str(told.value)


def test_variable_of_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("liveness_port", "8080")
    assert load().kafka.security_protocol == "PLAINTEXT"


def test_secret_through_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shell's `<(...)` can be read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=("zebra\n",), daemon=True).start()
    monkeypatch.setenv("LIVENESS_REDIS__PASSWORD_FILE", str(pipe))
    password = load().redis.password
    assert password is not None
    assert password.get_secret_value() == "zebra"
