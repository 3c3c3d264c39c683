from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream.bench.accounting import Books, ProcessorTimes, listening_on

#: A worker with one child (the fork server) that has two children (the slots), one of which uses the processor.
SLOT = """
import time
while time.process_time() < {cpu}:
    pass
print(flush=True)
time.sleep(60)
"""
SERVER = f"""
import subprocess, sys
slots = [
    subprocess.Popen([sys.executable, "-c", {SLOT!r}.format(cpu=cpu)], stdout=subprocess.PIPE)
    for cpu in (0.3, 0.0)
]
for slot in slots:
    slot.stdout.readline()
print(flush=True)
sys.stdin.read()
for slot in slots:
    slot.kill()
    slot.wait()
"""
WORKER = f"""
import subprocess, sys
server = subprocess.Popen([sys.executable, "-c", {SERVER!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
server.stdout.readline()
print(flush=True)
sys.stdin.read()
server.stdin.close()
server.wait()
"""


@pytest.fixture
def worker() -> Iterator[int]:
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_each_role_has_its_processor_time_and_peak(worker: int) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    books = Books(worker, {"load": os.getpid(), "gone": gone.pid})
    cpu_s, peaks = books.processor_times().cpu_s, books.peak_mib()
    assert cpu_s["slot"] >= 0.25 > cpu_s["fork_server"]
    assert cpu_s["load"] > cpu_s["gone"] == peaks.pop("gone") == 0.0
    assert peaks.keys() == {"worker", "fork_server", "slot_1", "slot_2", "load"}
    assert all(mib > 1 for mib in peaks.values())


def test_role_that_appears_meanwhile_counts_from_nothing() -> None:
    earlier = ProcessorTimes(moment=0.0, cpu_s={"slot": 1.0})
    later = ProcessorTimes(moment=1.0, cpu_s={"slot": 1.5, "broker": 0.2})
    assert later.since(earlier) == {"slot": 0.5, "broker": 0.2}


def test_local_service_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listening_on("127.0.0.1", server.getsockname()[1]) == os.getpid()
    assert listening_on("kafka.example", 9092) is None
