"""The wall clock is read in one place of the product and by no test that runs without services."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WALL_CLOCK = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.strftime", "time.ctime"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}
#: A source without any of these reads no clock; the others are parsed, which takes its time.
TELLING = ("time.time", "from time import", *(f".{name.partition('.')[2]}" for name in WALL_CLOCK - {"time.time"}))
#: Where it may be read: the clock itself, and measurements, which keep what they measure for their own time only.
ALLOWED = ("stream/runtime/clock.py", "stream/bench/")
FOLDERS = ("config", "detectors", "abuse", "stream", "tests/unit", "tests/contract")


def reads_of_the_wall_clock(source: str) -> list[str]:
    """Each use of such a function, called or handed on, and each import that would hide one; with its line."""
    found: list[str] = []
    if not any(words in source for words in TELLING):
        return found
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if f"{owner}.{node.attr}" in WALL_CLOCK:
                found.append(f"line {node.lineno}: {owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            hidden = [alias.name for alias in node.names if f"time.{alias.name}" in WALL_CLOCK]
            found += [f"line {node.lineno}: from time import {name}" for name in hidden]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_time_comes_from_a_clock(folder):
    """A test that asks which day it is fails on some of them; product code that asks can't be tested on others."""
    wrong = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(ALLOWED) and (reads := reads_of_the_wall_clock(file.read_text())):
            wrong[name] = reads
    assert wrong == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import time\nNOW = time.time_ns() // 1000", 1),
        ("import time\ndef f(clock=time.time): ...", 1),
        ("import datetime\ndatetime.datetime.now(datetime.UTC)\ndatetime.date.today()", 2),
        ("from datetime import datetime\ndatetime.now()", 1),
        ("from time import time as now, monotonic", 1),
        ("import time\ntime.monotonic()\ntime.perf_counter()\ntime.process_time()\ntime.sleep(0)", 0),
    ],
)
def test_the_check_can_fail(source, count):
    assert len(reads_of_the_wall_clock(source)) == count
