"""Logins of clients: what a question to a broker leaves behind, and tokens."""

from __future__ import annotations

import asyncio
import base64

import pytest

from config.errors import SettingsError
from config.settings import KafkaSettings
from stream.kafka import security


async def test_question_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that takes connections and hangs up at the first request is asked again and again by a worker."""
    closed: list[bool] = []

    class Connection:
        async def send(self, _request: object) -> None:
            raise TimeoutError

        def close(self) -> None:
            closed.append(True)

    async def connect(*_: object, **__: object) -> Connection:
        await asyncio.sleep(0)
        return Connection()

    monkeypatch.setattr(security, "create_conn", connect)
    assert "no answer to PLAINTEXT" in (await security.why_refused(KafkaSettings()) or "")
    assert closed == [True]


def test_load_generator_has_no_tokens() -> None:
    """Without a word its clients would wait for ever."""
    bearer = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "sasl_token_file": "/run/token"}
    with pytest.raises(SettingsError, match=r"kafka\.sasl_mechanism: .* no OAUTHBEARER"):
        security.librdkafka_security(KafkaSettings(**bearer))  # type: ignore[arg-type]


def test_end_beyond_all_numbers() -> None:
    """A token whose end is no number of this machine is the broker's to judge."""
    claims = base64.urlsafe_b64encode(b'{"exp": ' + b"9" * 400 + b"}").decode()
    assert security._end_of(f"e30.{claims}.") is None
