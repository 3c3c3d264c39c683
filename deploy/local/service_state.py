"""State kept between two runs: ports and processes, in `state.json` of the state folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prerequisites import say
from processes import ProcessIdentity

STATE_VERSION = 1


@dataclass(slots=True)
class ServiceRecord:
    """Record of a service: its ports by purpose (kept for good) and its process (while it runs)."""

    ports: dict[str, int] = field(default_factory=dict)
    process: ProcessIdentity | None = None


Records = dict[str, ServiceRecord]


def load(path: Path) -> Records:
    """Read the records. A damaged file is set aside: running services are then found by their marks."""
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        aside = path.with_suffix(".json.unreadable")
        path.replace(aside)
        say(f"{path} can't be read ({type(error).__name__}); moved to {aside.name}")
        return {}


def save(path: Path, records: Records) -> None:
    """Write the records so that a reader sees the old file or the new one, never half of one."""
    services = {name: asdict(record) for name, record in records.items()}
    text = json.dumps({"version": STATE_VERSION, "services": services}, indent=2) + "\n"
    temporary = path.with_suffix(".json.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _parse(text: str) -> Records:
    document = json.loads(text)
    if document["version"] != STATE_VERSION:
        raise ValueError("another version")
    return {str(name): _parse_record(item) for name, item in document["services"].items()}


def _parse_record(item: dict[str, Any]) -> ServiceRecord:
    ports = {str(name): _checked_port(port) for name, port in item["ports"].items()}
    process = item["process"]
    if process is None:
        return ServiceRecord(ports)
    pid, started, boot = process["pid"], process["started"], process["boot"]
    if not (isinstance(pid, int) and isinstance(started, int) and isinstance(boot, str)) or pid <= 1:
        raise ValueError("not a process")
    return ServiceRecord(ports, ProcessIdentity(pid, started, boot))


def _checked_port(port: object) -> int:
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError("not a port")
    return port


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a file lock: two runs at once would start two brokers, or build the same thing twice."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run holds {lock}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
