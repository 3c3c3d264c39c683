"""deploy/local with the real programs: its own pair in a temporary folder, about half a minute."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "local" / "services.py"

pytestmark = [pytest.mark.local_services, pytest.mark.slow]


class Pair:
    """The script on a private state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def start(self, command: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, str(SCRIPT), command, "--state", str(self.state)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, command: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = self.start(command)
        output, errors = process.communicate(timeout=240)
        return process.returncode, output, errors

    def expect(self, command: str) -> str:
        """Standard output of a command that must succeed."""
        code, output, errors = self.run(command)
        assert code == 0, errors
        return output

    def redis(self, *commands: str) -> str:
        """The replies of inline commands, on the port the pair tells."""
        port = int(self.expect("up").split("redis://127.0.0.1:")[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
            received = b""
            while part := connection.recv(65536):
                received += part
        return received.decode()

    def living(self) -> list[str]:
        """Command lines of living processes that carry this state folder's mark."""
        mark = f"LIVENESS_LOCAL_SERVICES_STATE={self.state}\0".encode()
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    found = Pair(tmp_path_factory.mktemp("services").resolve() / "state")
    code, _, errors = found.run("up")
    if code == 3:
        reasons = [line for line in errors.splitlines() if line.startswith("services:")]
        pytest.skip(" ".join(reasons) or "a needed program is missing")
    assert code == 0, errors
    yield found
    found.expect("down")
    assert found.living() == []
    shutil.rmtree(found.state)


@pytest.fixture
def lines(pair: Pair) -> str:
    return pair.expect("up")


def test_up_prints_two_settings(lines: str) -> None:
    """Standard output has no other line: `export $(make services-up)` reads it."""
    names = [line.split("=")[0] for line in lines.splitlines()]
    assert names == ["LIVENESS_KAFKA__BOOTSTRAP_SERVERS", "LIVENESS_REDIS__URL"]


def test_up_again_starts_nothing(pair: Pair, lines: str) -> None:
    before = pair.living()
    assert pair.expect("up") == lines
    assert pair.living() == before
    assert len(before) == 2


def test_status_tells_that_both_answer(pair: Pair, lines: str) -> None:
    status = pair.expect("status")
    assert status.count(": answers, pid ") == 2
    assert all(line in status for line in lines.splitlines())


def test_killed_redis_keeps_data(pair: Pair, lines: str) -> None:
    assert pair.redis("SET kept yes", "VADD faces VALUES 2 0.1 0.9 one").startswith("+OK")
    pair.expect("kill-redis")
    code, status, _ = pair.run("status")
    assert code == 1
    assert "redis: not running" in status
    assert pair.expect("start-redis").strip() in lines
    assert pair.redis("GET kept", "VCARD faces").startswith("$3\r\nyes\r\n:1\r\n")


def test_redis_policy(pair: Pair, lines: str) -> None:
    settings = pair.redis("CONFIG GET maxmemory-policy", "CONFIG GET aof-use-rdb-preamble", "CONFIG GET bind")
    assert "noeviction" in settings
    assert "aof-use-rdb-preamble\r\n$3\r\nyes" in settings
    assert "127.0.0.1" in settings


async def test_killed_broker_keeps_records(pair: Pair, lines: str) -> None:
    aiokafka = pytest.importorskip("aiokafka")
    admin = pytest.importorskip("aiokafka.admin")
    address = lines.splitlines()[0].partition("=")[2]
    topic = f"local-services-{os.urandom(4).hex()}"
    largest = b"x" * 15_000_000  # a 10 MB picture in base64 and more
    client = admin.AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    await client.create_topics([admin.NewTopic(topic, 1, 1)])
    await client.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address, acks="all", max_request_size=16 * 1024 * 1024)
    await producer.start()
    await producer.send_and_wait(topic, largest)
    await producer.stop()

    pair.expect("kill-kafka")
    assert pair.expect("start-kafka").strip() == lines.splitlines()[0]

    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 * 1024 * 1024,
    )
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    assert record.value == largest


def test_damaged_state_finds_pair(pair: Pair, lines: str) -> None:
    """The running pair is found without its record, and not started twice."""
    before = pair.living()
    (pair.state / "state.json").write_text('{"version": 1, "serv')
    assert pair.expect("up") == lines
    assert pair.living() == before


def test_two_runs_start_one_pair(pair: Pair, lines: str) -> None:
    """After `down`, two runs at once start one pair, on the ports it had before."""
    pair.expect("down")
    assert pair.living() == []
    runs = [pair.start("up"), pair.start("up")]
    assert [run.communicate(timeout=240)[0] for run in runs] == [lines, lines]
    assert len(pair.living()) == 2
