"""Logins of clients: what a question to a broker leaves behind, and tokens."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from config.groups.services import KafkaSettings
from stream.kafka.clients import security
from stream.runtime.clock import SYSTEM_CLOCK


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


def test_token_of_the_load_generator(tmp_path: Path) -> None:
    """Read at each call, with the time at which the client reads once more."""
    file = tmp_path / "token"
    claims = base64.urlsafe_b64encode(b'{"exp": 99999999999}').decode()
    read = security.librdkafka_token(file)["oauth_cb"]
    file.write_text(f"e30.{claims}.")
    assert read("") == (f"e30.{claims}.", 99999999999.0)
    file.write_text("opaque")
    token, end = read("")
    assert (token, 0 < end - SYSTEM_CLOCK.now_ms() / 1000 <= security.UNTOLD_END_S) == ("opaque", True)
    file.write_text("")
    with pytest.raises(KafkaConnectionError, match="holds no token"):
        read("")


def test_end_beyond_all_numbers() -> None:
    """A token whose end is no number of this machine is the broker's to judge."""
    claims = base64.urlsafe_b64encode(b'{"exp": ' + b"9" * 400 + b"}").decode()
    assert security._end_of(f"e30.{claims}.") is None
