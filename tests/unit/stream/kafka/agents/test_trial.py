"""The trial of a record: a real process, its ends, and what the worker learns of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from config.errors import SettingsError
from stream.events.message.messages import Output, Record
from stream.kafka.agents import trial
from stream.kafka.agents.agents import EndedOnRecord, Stage
from stream.kafka.agents.trial import StageRaised, Trial
from stream.kafka.exit_codes import EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.runtime.patience import RetryPolicy
from tests.e2e.waiting import eventually
from tests.unit.stream.kafka import tried
from tests.unit.stream.kafka.worker.test_worker_leaving import Working
from tests.unit.stream.runtime.virtual_time import on_virtual_time

LARGE = bytes(range(256)) * 60_000

Opened = Callable[..., Stage]
#: Start of a process that counts itself in a file, and ends at once if the file counts no more than so many.
START = 'printf x >> "$0"; [ "$(wc -c < "$0")" -gt "$1" ] || exit "$2"; exec "$3" -m "$4" "$0"'


def record(key: bytes, value: bytes = b"\xff") -> Record:
    headers = (("name", b"\xfe"),)
    return Record(topic="t", partition=1, offset=2, key=key, value=value, headers=headers, appended_at_ms=3)


class Own:
    """Stage of the worker itself."""

    async def handle(self, _record: Record) -> list[Output]:
        return []

    async def answer(self, _record: Record) -> list[Output]:
        return []


@pytest.fixture
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    """Stage on trial, whose process ends at so many starts with the code."""
    monkeypatch.setattr(trial, "PAUSE_S", 0.01)
    monkeypatch.setattr(trial, "SILENT_S", 2.0)
    trials = list[Trial]()

    def of(failed_starts: int = 0, code: int = 0, patience: RetryPolicy | None = None, name: str = "starts") -> Stage:
        given = [tmp_path / name, failed_starts, code, sys.executable, tried.__name__]
        trials.append(Trial(patience or RetryPolicy(), ["/bin/sh", "-c", START, *map(str, given)]))
        return trials[-1].stage("test", Own())

    yield of
    for each in trials:
        await each.close()


def starts(file: Path) -> int:
    return file.stat().st_size


async def test_records_of_one_process(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that nothing is asked of is stopped."""
    stage = opened()
    for value in (b"", b"\xff", LARGE):
        (output,) = await stage.handle(record(b"k", value))
        assert (output.topic, output.value, output.headers) == ("out", value, (("name", b"\xfe"),))
    (answer,) = await stage.answer(record(b"k"))
    assert (answer.topic, answer.key, answer.value) == ("answers", b"k", None)
    with pytest.raises(StageRaised, match="LookupError"):
        await stage.handle(record(b"raise"))
    monkeypatch.setattr(trial, "IDLE_S", 0.1)
    process = await process_of(stage)
    assert starts(tmp_path / "starts") == 1
    await eventually(lambda: gone(process), "the process ends")


#: Record -> how the process ends, and in how many processes the record is tried.
ENDS = {b"exit": ("code 77", 1), b"kill": ("code -9", 2), b"spin, then hang": ("silent", 2)}


async def test_ends_on_a_record(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill may be for want of memory, and silence a machine that stood still: the record is tried once more. The next
    record gets a process of its own. All at once, since silence takes its time."""
    monkeypatch.setattr(trial, "SILENT_S", 1.0)
    stages = {key: opened(name=key.decode()) for key in ENDS}

    async def ends(key: bytes, how: str, tried_in: int) -> None:
        with pytest.raises(EndedOnRecord, match=how):
            await stages[key].handle(record(key))
        assert starts(tmp_path / key.decode()) == tried_in

    await asyncio.gather(*(ends(key, *end) for key, end in ENDS.items()))
    assert await stages[b"exit"].handle(record(b"k"))
    assert starts(tmp_path / "exit") == 2


async def test_end_because_of_the_record_before(opened: Opened, tmp_path: Path) -> None:
    stage = opened()
    process = await process_of(stage, b"last words")
    await eventually(lambda: gone(process), "the process ends")
    assert await stage.handle(record(b"k"))
    assert starts(tmp_path / "starts") == 2


async def test_want_of_a_dependency_or_right_is_no_end(opened: Opened, tmp_path: Path) -> None:
    """Without a dependency, at a start or amid a record, the worker waits, and says so; without a right it ends."""
    patience = RetryPolicy()
    stage = opened(1, EXIT_UNREACHABLE, patience)
    handled = asyncio.ensure_future(stage.handle(record(b"away")))
    await eventually(lambda: patience.waiting_for == ("trial",), "the worker waits")
    assert await handled
    assert starts(tmp_path / "starts") == 3
    with pytest.raises(SettingsError, match="the trial of a record"):
        await stage.handle(record(b"settings"))


async def test_no_process(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be started, the worker's own stage has the record, as before an end."""
    monkeypatch.setattr(trial, "STARTS", 2)
    stage = opened(99, EXIT_SETTINGS)
    assert (await stage.handle(record(b"k")), starts(tmp_path / "starts")) == ([], 2)
    assert await stage.answer(record(b"k")) == []
    nowhere = Trial(RetryPolicy(), [str(tmp_path / "nothing")])
    assert await nowhere.stage("test", Own()).handle(record(b"k")) == []


async def test_process_goes_with_its_caller(opened: Opened) -> None:
    """Work that is dropped."""
    stage = opened()
    process = await process_of(stage)
    waiting = asyncio.ensure_future(stage.handle(record(b"wait")))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await eventually(lambda: gone(process), "the process ends")


async def process_of(stage: Stage, key: bytes = b"k") -> psutil.Process:
    (output,) = await stage.handle(record(key))
    assert output.key is not None
    return psutil.Process(int(output.key))


@pytest.mark.skipif(sys.platform != "linux", reason="the system kills no process with its parent")
def test_process_dies_with_its_worker() -> None:
    """Amid a record, where nobody reads the socket; a signal to the group is the worker's to carry out."""
    command = [sys.executable, "-m", tried.__name__, os.devnull]
    script = f"""
import asyncio, sys
from stream.kafka.agents.trial import Trial
from stream.runtime.patience import RetryPolicy
from tests.unit.stream.kafka.agents.test_trial import record
async def main():
    stage = Trial(RetryPolicy(), {command}).stage("test", None)
    (output,) = await stage.handle(record(b"k"))
    print(output.key.decode(), flush=True)
    await stage.handle(record(b"spin, then hang"))
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as worker:
        assert worker.stdout is not None
        process = psutil.Process(next(int(line) for line in worker.stdout if line.strip().isdigit()))
        os.kill(process.pid, signal.SIGTERM)
        with pytest.raises(psutil.TimeoutExpired):
            process.wait(0.2)
        worker.kill()
    process.wait(10)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@on_virtual_time
async def test_worker_is_not_stuck_during_a_trial() -> None:
    """The watchdog leaves a worker alone in which nothing else is done for as long as the trial takes."""
    working = await Working(finishes_work=True).begin()
    on_trial = SimpleNamespace(busy=True)
    working.worker._components = replace(working.worker._components, trial=on_trial)  # type: ignore[arg-type]
    stall_s = working.worker._components.settings.delivery.stall_timeout_s
    await asyncio.sleep(2 * stall_s)
    assert not working.worker.state().stalled
    on_trial.busy = False
    await asyncio.sleep(2 * stall_s)
    assert working.worker.state().stuck_s > stall_s
    working.scene._task.cancel()
