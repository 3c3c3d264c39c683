"""The worker as a child process: ended with the start that waits for it."""

from __future__ import annotations

import pytest

from stream.embedded import session
from stream.embedded.session import WorkerDidNotStart, WorkerProcess


class Child:
    """A process that runs until it is told to end."""

    pid = 1

    def __init__(self, *_: object, **__: object) -> None:
        self.told = 0

    def poll(self) -> int | None:
        return 0 if self.told else None

    def terminate(self) -> None:
        self.told += 1

    def wait(self, timeout: float) -> int:
        assert self.told
        return 0


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    made = Child()
    monkeypatch.setattr(session.subprocess, "Popen", lambda *_, **__: made)
    return made


def test_interrupted_start_ends_the_worker(child, monkeypatch):
    def interrupted(_: WorkerProcess) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WorkerProcess({}).start()
    assert child.told == 1


def test_unready_worker_is_ended(child, monkeypatch):
    monkeypatch.setattr(WorkerProcess, "_ready", lambda _: False)
    with pytest.raises(WorkerDidNotStart, match="not ready"):
        WorkerProcess({}).start(timeout_s=0.0)
    assert child.told == 1


def test_ready_worker_goes_on(child, monkeypatch):
    monkeypatch.setattr(WorkerProcess, "_ready", lambda _: True)
    WorkerProcess({}).start()
    assert child.told == 0
