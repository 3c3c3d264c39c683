"""Folders of network lists for tests: written the way operators' tools write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abuse.event_time import DAY_MS
from abuse.networks import watched_files

#: 2026-11-20T00:00:00Z, the present of these tests.
NOW_MS = 1_795_132_800_000
TODAY = "2026-11-20T00:00:00Z"


def netset(*entries: str, date: str | None = TODAY) -> str:
    header = "#\n# a list\n" + (f"# This File Date  : {date}\n" if date else "") + "#\n"
    return header + "".join(f"{entry}\n" for entry in entries)


def put(file: Path, text: str | bytes, *, at_ms: int = NOW_MS - DAY_MS) -> Path:
    """Replaces the file in one step, as careful tools do."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_bytes(text.encode() if isinstance(text, str) else text)
    touch(fresh, at_ms)
    fresh.replace(file)
    return file


def touch(file: Path, at_ms: int) -> None:
    os.utime(file, ns=(at_ms * 1_000_000, at_ms * 1_000_000))


def during_the_read(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Makes the change once, right after the next file was opened and looked at."""
    real = os.fstat

    def changing(descriptor: int) -> os.stat_result:
        monkeypatch.setattr(watched_files.os, "fstat", real)
        before = real(descriptor)
        change()
        return before

    monkeypatch.setattr(watched_files.os, "fstat", changing)
