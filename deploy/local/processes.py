"""Start processes that outlive us, recognise them later, and end only those.

A pid alone proves nothing: after a crash or a restart of the machine it belongs to somebody else. A process
is ours when its pid, its start time and the machine's boot are the recorded ones. Each one also carries
marks in its environment, so that it is still found when the record was lost (a deleted or damaged state
folder).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prerequisites import MissingError, ServicesError

PROC = Path("/proc")
POLL_SECONDS = 0.05
LOG_KEEP_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identity of a process, told apart from any other that ever gets its pid."""

    pid: int
    started: int  # clock ticks since boot, as in /proc/PID/stat
    boot: str


def require_proc() -> None:
    """Raise `MissingError` where processes can't be told apart as this module does."""
    if not (PROC / "self/stat").exists():
        raise MissingError("the local services need Linux (/proc); elsewhere run Kafka and Redis in containers")


def boot_id() -> str:
    """Id of this boot, which start times count from."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parse_stat(text: str) -> tuple[str, int]:
    """State letter and start time from /proc/PID/stat; the bracketed command may hold brackets too."""
    fields = text[text.rindex(")") + 1 :].split()
    return fields[0], int(fields[19])


def identify(pid: int) -> ProcessIdentity | None:
    """Identity of the process that has this pid now; None when the pid is free or a zombie's."""
    try:
        state, started = parse_stat((PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else ProcessIdentity(pid, started, boot_id())


def is_running(process: ProcessIdentity | None) -> bool:
    """True when exactly this process, not a later one with its pid, is alive."""
    return process is not None and identify(process.pid) == process


def start_detached(command: list[str], cwd: Path, log: Path, marks: Mapping[str, str]) -> ProcessIdentity:
    """Start `command` in a session of its own, so that no terminal or caller takes it along when it ends."""
    if log.exists() and log.stat().st_size > LOG_KEEP_BYTES:
        log.replace(log.with_suffix(".log.old"))
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **marks},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = identify(started.pid)
    if process is None:
        raise ServicesError(f"{command[0]} ended at once; its log is {log}")
    return process


def find_marked(marks: Mapping[str, str]) -> list[tuple[ProcessIdentity, dict[str, str]]]:
    """Living processes of this user that carry all these marks, oldest first, each with its environment."""
    found: list[tuple[ProcessIdentity, dict[str, str]]] = []
    for folder in PROC.glob("[0-9]*"):
        environment = read_environment(folder)
        if any(environment.get(name) != value for name, value in marks.items()):
            continue
        process = identify(int(folder.name))
        if process is not None:
            found.append((process, environment))
    return sorted(found, key=lambda item: (item[0].started, item[0].pid))


def read_environment(folder: Path) -> dict[str, str]:
    """The environment a process was started with; empty when it is gone or another user's."""
    try:
        raw = (folder / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(item).partition("=") for item in raw.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until true; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def wait_gone(process: ProcessIdentity, seconds: float) -> bool:
    """True as soon as the process has ended."""
    return wait_until(lambda: not is_running(process), seconds)


def send_terminate(process: ProcessIdentity) -> None:
    """Ask a verified process to end; no effect when it is gone."""
    _signal(process, os.kill, signal.SIGTERM)


def kill_now(process: ProcessIdentity) -> None:
    """SIGKILL a verified process with what it forked: it leads its own group (see `start_detached`)."""
    _signal(process, os.killpg, signal.SIGKILL)


def _signal(process: ProcessIdentity, send: Callable[[int, int], None], number: int) -> None:
    if not is_running(process):
        return
    try:
        send(process.pid, number)
    except ProcessLookupError:
        return
