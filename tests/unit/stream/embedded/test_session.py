"""The worker as a child process: ended with the start that waits for it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from stream.embedded import session
from stream.embedded.session import WorkerDidNotStart, WorkerProcess


class Child:
    pid = 1
    told = 0

    def poll(self) -> int | None:
        return 0 if self.told else None

    def terminate(self) -> None:
        self.told += 1

    def wait(self, timeout: float) -> int:
        assert self.told
        return 0


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
        (False, pytest.raises(WorkerDidNotStart, match="not ready")),
        (True, nullcontext()),
    ],
)
def test_failed_start_ends_the_worker(monkeypatch, answer, ends):
    def ready(_: WorkerProcess) -> bool:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    child = Child()
    monkeypatch.setattr(session.subprocess, "Popen", lambda *_, **__: child)
    monkeypatch.setattr(WorkerProcess, "_ready", ready)
    with ends:
        WorkerProcess({}).start(timeout_s=0.05)
    assert child.told == (answer is not True)
