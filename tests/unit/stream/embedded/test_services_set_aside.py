"""Embedded services beside a Kafka and a Redis of the user's own, whose TLS and logins are not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import load
from stream.embedded.session import set_aside, settings_under
from tests.certificates import Authority


def test_no_variable_without_need() -> None:
    assert set_aside() == {}


def test_own_redis_set_aside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("zebra")
    keys = tmp_path / "keys"
    keys.write_text('[{"id": "own", "secret": "' + "z" * 32 + '"}]')
    for name, value in {
        "REDIS__URL": "rediss://own:6379/0",
        "REDIS__USERNAME": "ann",
        "REDIS__PASSWORD_FILE": secret,
        "REDIS__SSL_CAFILE": Authority(tmp_path).file,
        "REDIS__SSL_VERIFY": "false",
        "ABUSE__HASH_KEYS_FILE": keys,
    }.items():
        monkeypatch.setenv(f"LIVENESS_{name}", str(value))
    url = "redis://127.0.0.1:1/0"
    variables = {**set_aside(), "LIVENESS_REDIS__URL": url, "LIVENESS_ABUSE__HASH_KEYS": keys.read_text()}
    assert settings_under(variables).redis.password is None
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    redis = load().redis
    assert (redis.password, redis.ssl_cafile, redis.ssl_verify) == (None, None, True)
