"""Warm processes are like those of the command line."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.e2e.waiting import eventually
from tests.e2e.warm import WarmProcess

TELL = "import json, os, sys; print(json.dumps([dict(os.environ), sys.orig_argv[1:], 'stream.cli' in sys.modules]))"
ENDS = [("pass", 0), ("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)]


def end_of(process: WarmProcess) -> int | None:
    asyncio.run(eventually(lambda: process.poll() is not None, "the process ends"))
    return process.poll()


@pytest.mark.parametrize(("statement", "code"), ENDS)
def test_end_is_told(tmp_path: Path, statement: str, code: int) -> None:
    command = ["timeit", "-n1", "-r1", f"-s{TELL}", f"import os, sys; sys.stdout.flush(); {statement}"]
    told, errors = tmp_path / "out", tmp_path / "err"
    with told.open("wb") as out, errors.open("wb") as err:
        process = WarmProcess(command, {"ONLY": "this"}, out.fileno(), err.fileno())
    assert end_of(process) == code
    first, *_ = told.read_text().splitlines()
    assert json.loads(first) == [{"ONLY": "this"}, ["-m", *command], True]
    assert errors.read_text() == ""
    process.kill()
    assert process.poll() == code, "an end stays what it was"


def test_signalled(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = WarmProcess(["timeit", "-n1", "import time; time.sleep(60)"], {}, out.fileno(), out.fileno())
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert end_of(process) == -signal.SIGTERM
    process.kill()
