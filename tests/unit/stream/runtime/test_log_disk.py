"""A log on a full disk: work goes on, the loss is counted, and processes end with the code they mean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
LOGGING = """
import logging
from config.groups.services import LogSettings
from stream.runtime import logs, metrics
logs.configure(LogSettings())
for _ in range(200):
    logging.getLogger("stream").warning("x" * 100)
print(int(metrics.LOG_LINES_LOST._value.get()), flush=True)
"""
#: How a process goes on, and the exit code.
ENDS = {
    "logs.end()": 0,
    "logs.end(); raise SystemExit(3)": 3,
    """
from config.errors import SettingsError
from stream.kafka.consumer.acks import InOrderAcks
from stream.kafka.worker.worker import Worker
worker = object.__new__(Worker)
worker._acks = InOrderAcks(lambda: 0)
worker.fail(SettingsError("wrong"))
""": 2,
}

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


@pytest.mark.parametrize("end", ENDS)
def test_full_log_disk(end: str) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with FULL.open("wb") as full:
        command = [sys.executable, "-c", LOGGING + end]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, env=buffered, timeout=60, check=False)
    assert (done.stdout.split(), done.returncode) == ([b"200"], ENDS[end])
