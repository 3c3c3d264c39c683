"""Exit codes of a worker that ends without a signal: never 0, so that every supervisor starts another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError, TopicAuthorizationFailedError

from config.settings import Settings
from stream.kafka.consumer.app import make_app
from stream.kafka.exit_codes import EXIT_BUG, EXIT_DONE, EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.kafka.worker import run as running


class FailingWorker:
    """Worker whose start fails before the first contact with a broker, and whose stop shows the code of a late end."""

    def __init__(self, error: BaseException) -> None:
        self.app = make_app(Settings())
        self.app.lifecycle = self
        self.leave_code = EXIT_DONE
        self.code_at_stop: int | None = None
        self._error = error

    async def start(self) -> None:
        raise self._error

    async def stopping(self) -> None:
        self.code_at_stop = self.leave_code

    async def stop(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncio.CancelledError(), EXIT_BUG),
        (RuntimeError(), EXIT_BUG),
        (KafkaConnectionError(), EXIT_UNREACHABLE),
        (RequestTimedOutError(), EXIT_UNREACHABLE),
        (TopicAuthorizationFailedError("liveness.submissions"), EXIT_SETTINGS),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_failed_start(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "yield_to_slots", lambda: None)
    monkeypatch.setattr(running, "freeze_loaded_objects", lambda: None)
    monkeypatch.setattr(running._Process, "_gather_all", lambda _: None)  # waits a second
    monkeypatch.setattr(running._Process, "_sentinel_task", lambda _: asyncio.sleep(0))  # so does this
    asyncio.set_event_loop(asyncio.new_event_loop())  # which the process closes
    worker: Any = FailingWorker(error)
    with pytest.raises(SystemExit) as end:
        running.run(worker)
    assert end.value.code == code
    assert worker.code_at_stop == code, "a stop that takes too long ends with the same code"
