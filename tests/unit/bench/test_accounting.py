from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream.bench.accounting import Books, Snapshot, listening_on

#: A worker with one child (the fork server) that has two children (the slots), one of which uses the processor.
SLOT = """
import time
end = time.process_time() + {cpu}
while time.process_time() < end:
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
    process = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def test_each_role_has_its_processor_time_and_peak(worker: int) -> None:
    books = Books(worker, {"load": os.getpid()})
    cpu_s, peaks = books.snapshot().cpu_s, books.peak_mib()
    assert cpu_s["slot"] >= 0.3 > cpu_s["fork_server"]
    assert cpu_s["load"] > 0
    assert peaks.keys() == {"worker", "fork_server", "slot_1", "slot_2", "load"}
    assert all(mib > 1 for mib in peaks.values())


def test_process_that_is_gone_has_used_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert Books(os.getpid(), {"load": gone.pid}).snapshot().cpu_s["load"] == 0.0


def test_role_that_appears_between_snapshots_counts_from_nothing() -> None:
    earlier = Snapshot(moment=0.0, cpu_s={"slot": 1.0})
    later = Snapshot(moment=1.0, cpu_s={"slot": 1.5, "broker": 0.2})
    assert later.since(earlier) == {"slot": 0.5, "broker": 0.2}


def test_local_service_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listening_on("127.0.0.1", server.getsockname()[1]) == os.getpid()
    assert listening_on("kafka.example", 9092) is None
