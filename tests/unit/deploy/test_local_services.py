"""The pure parts of deploy/local: nothing is started but short `sleep` processes."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parents[3] / "deploy" / "local"
sys.path.insert(0, str(LOCAL))  # a folder of scripts, not a package

import apt_sources  # noqa: E402
import build_cache  # noqa: E402
import kafka_broker  # noqa: E402
import kafka_probe  # noqa: E402
import lifecycle  # noqa: E402
import needed_packages  # noqa: E402
import ports  # noqa: E402
import prerequisites  # noqa: E402
import processes  # noqa: E402
import redis_server  # noqa: E402
import redis_source  # noqa: E402
import service_state  # noqa: E402
import services  # noqa: E402

REDIS_8 = "Redis server v=8.0.2 sha=00000000:0 malloc=libc bits=64 build=5a2e0b1f"
REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff7"
VALKEY = "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1b2c3d4e"


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PATH and cache of a machine that has nothing; returns its only PATH folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("LIVENESS_REDIS_SERVER", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def put_program(folder: Path, name: str, output: str = "") -> Path:
    """A stand-in program that prints one text."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{output}' >&2\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


class TestPorts:
    def test_chosen_ports_are_free_different_and_outside_the_outgoing_range(self) -> None:
        chosen = ports.choose_ports(3)
        first_outgoing, _ = ports.parse_port_range(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text())
        assert len(set(chosen)) == 3
        assert all(ports.is_free(port) for port in chosen)
        assert first_outgoing < 21000 or all(20000 <= port < first_outgoing for port in chosen)

    def test_a_listening_port_is_not_free(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert not ports.is_free(server.getsockname()[1])

    def test_unusual_outgoing_range_falls_back_to_the_kernel(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        wide = tmp_path / "range"
        wide.write_text("1024\t65535\n")
        monkeypatch.setattr(ports, "_RANGE_FILE", wide)
        assert len(set(ports.choose_ports(3))) == 3


class TestProcessIdentity:
    def test_own_process_is_recognised_until_it_ends(self, sleeper: subprocess.Popen[bytes]) -> None:
        identity = processes.identify(sleeper.pid)
        assert processes.is_running(identity)
        assert identity is not None
        processes.kill_now(identity)
        assert processes.wait_gone(identity, 5)  # a zombie until `wait`: that counts as ended
        assert processes.identify(sleeper.pid) is None

    @pytest.mark.parametrize("change", ["started", "boot"])
    def test_a_pid_that_went_to_another_process_is_left_alone(
        self, sleeper: subprocess.Popen[bytes], change: str
    ) -> None:
        now = processes.identify(sleeper.pid)
        assert now is not None
        stale = processes.ProcessIdentity(
            now.pid, now.started - (change == "started"), "earlier" if change == "boot" else now.boot
        )
        assert not processes.is_running(stale)
        processes.kill_now(stale)
        processes.send_terminate(stale)
        assert processes.is_running(now)

    def test_stat_of_a_command_with_brackets_and_spaces(self) -> None:
        text = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 2 3"
        assert processes.parse_stat(text) == ("S", 98765)

    def test_found_by_its_marks_when_the_record_is_lost(self, tmp_path: Path) -> None:
        marks = {"LIVENESS_TEST_MARK": str(tmp_path)}
        started = processes.start_detached(["/bin/sleep", "60"], tmp_path, tmp_path / "log", marks)
        try:
            # A process shows its environment only a moment after it was started.
            assert processes.wait_until(lambda: bool(processes.find_marked(marks)), 5)
            found = processes.find_marked(marks)
            assert [process for process, _ in found] == [started]
            assert os.getsid(started.pid) == started.pid
        finally:
            processes.kill_now(started)
        assert processes.wait_gone(started, 5)
        assert processes.find_marked(marks) == []

    def test_a_long_log_is_moved_aside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "LOG_KEEP_BYTES", 3)
        log = tmp_path / "x.log"
        log.write_text("long")
        started = processes.start_detached(["/bin/sleep", "60"], tmp_path, log, {})
        processes.kill_now(started)
        assert (tmp_path / "x.log.old").read_text() == "long"


def damaged_process(pid: int) -> str:
    """A record with a pid that must never be signalled: 1 is init, negative ones are whole groups."""
    process = {"pid": pid, "started": 2, "boot": ""}
    return json.dumps({"version": 1, "services": {"kafka": {"ports": {}, "process": process}}})


class TestState:
    def test_round_trip(self, tmp_path: Path) -> None:
        records = {
            "kafka": service_state.ServiceRecord({"client": 20001}, processes.ProcessIdentity(12, 34, "boot")),
            "redis": service_state.ServiceRecord({"client": 20002}),
        }
        service_state.save(tmp_path / "state.json", records)
        assert service_state.load(tmp_path / "state.json") == records

    def test_absent_is_empty(self, tmp_path: Path) -> None:
        assert service_state.load(tmp_path / "state.json") == {}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            '{"version": 1, "serv',
            "[]",
            '{"version": 2, "services": {}}',
            '{"version": 1, "services": {"kafka": {"ports": {"client": 70000}, "process": null}}}',
            '{"version": 1, "services": {"kafka": {"ports": {"client": "20000"}, "process": null}}}',
            damaged_process(1),
            damaged_process(-1),
            '{"version": 1, "services": {"kafka": null}}',
        ],
    )
    def test_damaged_is_set_aside(self, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "state.json"
        path.write_text(text)
        assert service_state.load(path) == {}
        assert not path.exists()
        assert (tmp_path / "state.json.unreadable").read_text() == text
        captured = capsys.readouterr()
        assert "can't be read" in captured.err
        assert captured.out == ""

    def test_lock_is_exclusive(self, tmp_path: Path) -> None:
        code = "import fcntl,sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        with service_state.exclusive(tmp_path / "lock"):
            done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], capture_output=True)
        assert b"BlockingIOError" in done.stderr


class SleepingService(lifecycle.Service):
    """A service without a network: `sleep`, which always answers."""

    name = "sleeping"
    port_names = (lifecycle.CLIENT,)

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def find_programs(self) -> None:
        pass

    def prepare(self, ports: lifecycle.Ports) -> None:
        self.config.write_text("")

    def command(self) -> list[str]:
        return ["/bin/sleep", "60"]

    def answers(self, ports: lifecycle.Ports, process: processes.ProcessIdentity) -> bool:
        return processes.is_running(process)

    def line(self, ports: lifecycle.Ports) -> str:
        return f"PORT={ports[lifecycle.CLIENT]}"


class FailingService(SleepingService):
    """Ends by itself, with a last word in its log."""

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", "/bin/sleep 0.2; echo last word"]

    def answers(self, ports: lifecycle.Ports, process: processes.ProcessIdentity) -> bool:
        return False


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    yield folder
    sleeping_group(folder).down()
    assert processes.find_marked({lifecycle.MARK_STATE: str(folder)}) == []


def sleeping_group(state: Path) -> lifecycle.ServiceGroup:
    """As a new run of the script sees the folder."""
    return lifecycle.ServiceGroup(state, [SleepingService(state / "sleeping")])


def recorded_process(state: Path) -> dict[str, object]:
    process = json.loads((state / "state.json").read_text())["services"]["sleeping"]["process"]
    assert isinstance(process, dict)
    return process


class TestLifecycle:
    def test_up_twice_is_one_process_on_one_port(self, state: Path) -> None:
        first = sleeping_group(state).up()
        process = recorded_process(state)
        assert sleeping_group(state).up() == first
        assert recorded_process(state) == process
        assert len(processes.find_marked({lifecycle.MARK_STATE: str(state)})) == 1

    def test_killed_and_started_again_on_the_same_port(self, state: Path) -> None:
        first = sleeping_group(state).up()
        sleeping_group(state).kill("sleeping")
        assert sleeping_group(state).status() == [("sleeping: not running", False)]
        with pytest.raises(prerequisites.ServicesError, match="isn't running"):
            sleeping_group(state).kill("sleeping")
        assert [sleeping_group(state).start("sleeping")] == first

    def test_lost_record_finds_the_process_and_its_port(self, state: Path) -> None:
        first = sleeping_group(state).up()
        process = recorded_process(state)
        (state / "state.json").write_text("{")
        assert sleeping_group(state).up() == first
        assert recorded_process(state) == process

    def test_recorded_pid_of_another_process_is_not_touched(
        self, state: Path, sleeper: subprocess.Popen[bytes]
    ) -> None:
        sleeping_group(state).up()
        sleeping_group(state).down()
        document = json.loads((state / "state.json").read_text())
        document["services"]["sleeping"]["process"] = {
            "pid": sleeper.pid,
            "started": 1,
            "boot": processes.boot_id(),
        }
        (state / "state.json").write_text(json.dumps(document))
        assert sleeping_group(state).status() == [("sleeping: not running", False)]
        sleeping_group(state).down()
        assert sleeper.poll() is None

    def test_process_on_a_deleted_folder_is_ended_by_down_not_by_status(self, state: Path) -> None:
        sleeping_group(state).up()
        (state / "state.json").unlink()
        (state / "sleeping" / "config").unlink()
        sleeping_group(state).status()
        assert len(processes.find_marked({lifecycle.MARK_STATE: str(state)})) == 1
        sleeping_group(state).down()
        assert processes.find_marked({lifecycle.MARK_STATE: str(state)}) == []

    def test_port_taken_meanwhile(self, state: Path) -> None:
        first = sleeping_group(state).up()
        sleeping_group(state).down()
        with socket.create_server(("127.0.0.1", int(first[0].removeprefix("PORT=")))):
            with pytest.raises(prerequisites.ServicesError, match="taken by another program"):
                sleeping_group(state).start("sleeping")
            assert sleeping_group(state).up() != first

    def test_start_before_up_is_wrong_use(self, state: Path) -> None:
        with pytest.raises(prerequisites.WrongUseError, match="never started"):
            sleeping_group(state).start("sleeping")

    def test_failure_to_start_shows_the_end_of_the_log(self, state: Path) -> None:
        group = lifecycle.ServiceGroup(state, [FailingService(state / "sleeping")])
        with pytest.raises(prerequisites.ServicesError, match=r"(?s)ended while starting.*last word"):
            group.up()
        assert sleeping_group(state).status() == [("sleeping: not running", False)]


class TestRedisFound:
    @pytest.mark.parametrize(
        ("text", "version", "enough"),
        [
            (REDIS_8, (8, 0, 2), True),
            (REDIS_7, (7, 0, 15), False),
            ("Redis server v=10.1 sha=0", (10, 1), True),
            (VALKEY, None, False),
            ("", None, False),
        ],
    )
    def test_version(self, text: str, version: tuple[int, ...] | None, enough: bool) -> None:
        assert redis_server.parse_version(text) == version
        assert redis_server.is_new_enough(version) is enough

    def test_nothing_names_package_and_command(self) -> None:
        with pytest.raises(prerequisites.MissingError, match=r"not found on PATH.*redis-server.*make services-redis"):
            redis_server.find_server()

    @pytest.mark.parametrize(("output", "told"), [(REDIS_7, "version 7.0.15"), (VALKEY, "not a Redis")])
    def test_unfit_server_on_path_is_told(self, empty_machine: Path, output: str, told: str) -> None:
        put_program(empty_machine, "redis-server", output)
        with pytest.raises(prerequisites.MissingError, match=told):
            redis_server.find_server()

    def test_order_is_named_then_path_then_cache(
        self, empty_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached = put_program(tmp_path / "cache" / "redis-8.0.2" / "bin", "redis-server", REDIS_8)
        newer = REDIS_8.replace("8.0.2", "8.10.0")
        newest = put_program(tmp_path / "cache" / "redis-8.10.0" / "bin", "redis-server", newer)
        assert redis_server.find_server() == str(newest)
        newest.write_text("not for this system")
        assert redis_server.find_server() == str(cached)
        on_path = put_program(empty_machine, "redis-server", REDIS_8)
        assert redis_server.find_server() == str(on_path)
        named = put_program(tmp_path / "own", "redis", REDIS_8)
        monkeypatch.setenv("LIVENESS_REDIS_SERVER", str(named))
        assert redis_server.find_server() == str(named)

    def test_a_named_server_that_does_not_fit_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIVENESS_REDIS_SERVER", "/nowhere/redis-server")
        with pytest.raises(prerequisites.MissingError, match="LIVENESS_REDIS_SERVER"):
            redis_server.find_server()

    def test_configuration_is_loopback_only_and_durable(self) -> None:
        lines = redis_server.config_text(20001, Path('/some "odd" folder')).splitlines()
        assert {"bind 127.0.0.1", "protected-mode yes", "appendonly yes", "daemonize no"} <= set(lines)
        assert {"aof-use-rdb-preamble yes", "maxmemory-policy noeviction"} <= set(lines)
        assert 'dir "/some \\"odd\\" folder"' in lines


class TestMissingTools:
    @pytest.mark.parametrize(
        ("text", "major"),
        [
            ('openjdk version "17.0.15" 2025-04-15', 17),
            ('openjdk version "21" 2023-09-19', 21),
            ('openjdk version "22-ea" 2024-03-19', 22),
            ('java version "1.8.0_202"', 8),
            ("no java here", None),
        ],
    )
    def test_java_version(self, text: str, major: int | None) -> None:
        assert prerequisites.parse_java_major(text) == major

    def test_no_java_names_the_package(self) -> None:
        with pytest.raises(prerequisites.MissingError, match=r"not found on PATH.*openjdk-17-jre-headless"):
            prerequisites.find_java()

    def test_old_java_is_told(self, empty_machine: Path) -> None:
        put_program(empty_machine, "java", 'openjdk version "11.0.2" 2019-01-15')
        with pytest.raises(prerequisites.MissingError, match="Java 11"):
            prerequisites.find_java()

    def test_java_home_is_used_when_path_has_an_old_one(
        self, empty_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_program(empty_machine, "java", 'openjdk version "11.0.2" 2019-01-15')
        newer = put_program(tmp_path / "jdk" / "bin", "java", 'openjdk version "21.0.1" 2023-10-17')
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        assert prerequisites.find_java() == str(newer)

    def test_no_maven_names_the_package(self) -> None:
        with pytest.raises(prerequisites.MissingError, match=r"mvn.*apt-get install maven"):
            kafka_broker.broker_libs()

    def test_every_absent_build_tool_is_told_at_once(self) -> None:
        with pytest.raises(prerequisites.MissingError, match="apt-get install apt dpkg-dev build-essential"):
            redis_source.build_redis()

    def test_packages_of_an_empty_machine(self) -> None:
        expected = ["openjdk-17-jre-headless", "maven", "apt", "dpkg-dev", "build-essential"]
        assert needed_packages.needed_packages() == expected

    def test_no_packages_when_all_is_there(self, empty_machine: Path) -> None:
        put_program(empty_machine, "java", 'openjdk version "17.0.1" 2021-10-19')
        put_program(empty_machine, "mvn")
        put_program(empty_machine, "redis-server", REDIS_8)
        assert needed_packages.needed_packages() == []

    def test_redis_without_a_debian_address(self, empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for tool in prerequisites.REDIS_BUILD_TOOLS:
            put_program(empty_machine, tool)
        monkeypatch.setattr(redis_source, "read_machine_sources", list)
        with pytest.raises(prerequisites.MissingError, match=r"Debian address.*LIVENESS_REDIS_SERVER"):
            redis_source.build_redis()

    def test_build_if_needed_takes_the_one_on_path(self, empty_machine: Path) -> None:
        on_path = put_program(empty_machine, "redis-server", REDIS_8)
        assert redis_source.build_redis(if_needed=True) == on_path


class TestRedisPackage:
    """An address can list a security update whose files it doesn't have."""

    @pytest.mark.parametrize("newest_is_there", [True, False])
    def test_older_version_only_when_the_newest_is_not_there(
        self,
        newest_is_there: bool,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        asked: list[str] = []

        def fetch(command: list[str], failure: prerequisites.ServicesError, cwd: Path | None = None) -> None:
            asked.append(command[-1])
            if command[-1] == "redis" and not newest_is_there:
                (tmp_path / "redis_8.0.2.orig.tar.gz").write_text("part")
                raise failure

        monkeypatch.setattr(redis_source, "run_step", fetch)
        redis_source._download_package(["apt-get"], tmp_path)
        assert asked == (["redis"] if newest_is_there else ["redis", "redis/trixie"])
        assert ("WARNING" in capsys.readouterr().err) is not newest_is_there
        assert list(tmp_path.glob("redis_*")) == []


PARAGRAPHS = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""

LINES = """\
# deb http://commented.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian/ bullseye main non-free # archive
deb http://mirror.example/security bullseye-security main
deb http://mirror.example/debian bullseye-backports main
deb https://other.example/tool stable main extra
"""


class TestAptSources:
    def test_paragraphs(self) -> None:
        first, second = apt_sources.parse_paragraphs(PARAGRAPHS)
        assert first.uris == ("http://mirror.example/debian",)
        assert first.suites == ("bookworm", "bookworm-updates")
        assert second.options == (("Signed-By", "/usr/share/keyrings/debian.gpg"),)

    def test_derived_paragraphs_keep_address_and_key(self) -> None:
        text = apt_sources.derive_release_sources(apt_sources.parse_paragraphs(PARAGRAPHS))
        assert "URIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n" in text
        assert "URIs: http://mirror.example/debian-security\nSuites: trixie-security\n" in text
        assert "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n" in text
        assert "off.example" not in text
        assert text.count("Types: deb-src\n") == 2

    def test_lines(self) -> None:
        text = apt_sources.derive_release_sources(apt_sources.parse_lines(LINES))
        assert "URIs: http://mirror.example/debian/\nSuites: trixie\n" in text
        assert "Signed-By: /keys/a.gpg\n" in text
        assert "URIs: http://mirror.example/security\nSuites: trixie-security\n" in text
        for absent in ("cdrom", "commented", "backports", "bullseye"):
            assert absent not in text

    @pytest.mark.parametrize(
        "line",
        [
            "deb http://archive.example/ubuntu noble main universe",
            "deb http://mirror.example/debian-security bookworm-security main",
            "deb http://mirror.example/debian bookworm contrib",
            "",
        ],
    )
    def test_no_debian_archive(self, line: str) -> None:
        assert apt_sources.derive_release_sources(apt_sources.parse_lines(line)) == ""

    @pytest.mark.parametrize(
        ("suite", "target"),
        [
            ("bookworm", "trixie"),
            ("stable", "trixie"),
            ("trixie-updates", "trixie-updates"),
            ("buster/updates", "trixie-security"),
            ("bookworm-backports", None),
            ("noble", None),
            ("other/updates", None),
        ],
    )
    def test_suite(self, suite: str, target: str | None) -> None:
        assert apt_sources.target_suite(suite) == target

    def test_machine_files_in_both_formats(self, tmp_path: Path) -> None:
        (tmp_path / "sources.list.d").mkdir()
        (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
        (tmp_path / "sources.list.d" / "b.sources").write_text(PARAGRAPHS)
        (tmp_path / "sources.list.d" / "c.list.disabled").write_text("deb http://no.example/debian bookworm main\n")
        entries = apt_sources.read_machine_sources(tmp_path)
        assert [entry.uris[0] for entry in entries] == [
            "http://one.example/debian",
            "http://mirror.example/debian",
            "http://mirror.example/debian-security",
        ]


class TestCache:
    @pytest.mark.parametrize(
        ("own", "xdg", "expected"),
        [
            ("/own", "/xdg", "/own"),
            ("", "/xdg", "/xdg/liveness-stream"),
            ("", "", "/home/x/.cache/liveness-stream"),
        ],
    )
    def test_place(self, own: str, xdg: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIVENESS_CACHE_DIR", own)
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
        monkeypatch.setenv("HOME", "/home/x")
        assert build_cache.cache_folder() == Path(expected)

    def test_built_once(self, tmp_path: Path) -> None:
        target = tmp_path / "cache" / "thing-1"
        built: list[Path] = []

        def find() -> Path | None:
            return target if target.exists() else None

        def build(result: Path) -> str:
            built.append(result)
            (result / "file").write_text("x")
            return "thing-1"

        assert build_cache.produce("thing", find, build) == target
        assert build_cache.produce("thing", find, build) == target
        assert len(built) == 1
        assert (target / "file").read_text() == "x"

    def test_a_failed_build_leaves_nothing(self, tmp_path: Path) -> None:
        def build(result: Path) -> str:
            (result / "half").write_text("x")
            raise prerequisites.ServicesError("broken off")

        with pytest.raises(prerequisites.ServicesError):
            build_cache.produce("thing", lambda: None, build)
        assert [path.name for path in (tmp_path / "cache").iterdir()] == [".thing.lock"]

    def test_jars_of_another_pom_are_not_taken(self, tmp_path: Path) -> None:
        folder = tmp_path / "cache" / f"kafka-{kafka_broker.kafka_version()}"
        folder.mkdir(parents=True)
        (folder / "pom.sha256").write_text("0" * 64)
        assert not kafka_broker.libs_cached()


class TestKafka:
    def test_version_is_pinned_to_4(self) -> None:
        assert kafka_broker.kafka_version().startswith("4.")

    def test_cluster_id_has_kafkas_form(self) -> None:
        ids = {kafka_broker.new_cluster_id() for _ in range(200)}
        assert len(ids) == 200
        assert all(len(text) == 22 and not text.startswith("-") for text in ids)

    def test_configuration_is_loopback_only_and_lets_large_records_through(self, tmp_path: Path) -> None:
        broker = kafka_broker.KafkaBroker(tmp_path)
        broker.data.mkdir()
        (broker.data / "meta.properties").write_text("version=1\ncluster.id=abc\nnode.id=1\n")
        broker.prepare({"client": 20001, "controller": 20002})
        lines = [line for line in broker.config.read_text().splitlines() if line and line[0] != "#"]
        settings = dict(line.split("=", 1) for line in lines)
        assert settings["listeners"] == "BROKER://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
        assert int(settings["message.max.bytes"]) > 10 * 1024 * 1024 * 4 / 3
        assert int(settings["queued.max.request.bytes"]) >= int(settings["socket.request.max.bytes"])
        assert settings["auto.create.topics.enable"] == "false"

    @pytest.mark.parametrize(
        ("value", "escaped"),
        [("/a b", "/a b"), ("/a\\b", "/a\\\\b"), ("/ü", "/\\u00fc"), ("/😀", "/\\ud83d\\ude00")],
    )
    def test_property_escapes(self, value: str, escaped: str) -> None:
        assert kafka_broker.escape_property(value) == escaped

    def test_metadata_answer(self) -> None:
        def text(value: bytes) -> bytes:
            return struct.pack(">h", len(value)) + value

        null = struct.pack(">h", -1)
        broker = struct.pack(">i", 1) + text(b"127.0.0.1") + struct.pack(">i", 20001) + null
        head = struct.pack(">ii", kafka_probe.CORRELATION, 1)
        tail = struct.pack(">ii", 1, 0)
        assert kafka_probe.parse_metadata(head + broker + text(b"cluster") + tail) == ("cluster", {20001})
        other = struct.pack(">ii", kafka_probe.CORRELATION + 1, 0)
        assert kafka_probe.parse_metadata(other + text(b"cluster") + tail) == (None, set())

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\4\0\0\0\0"])
    def test_something_else_on_the_port_is_no_broker(self, answer: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            client = subprocess.Popen(
                [sys.executable, "-c", PROBE, str(LOCAL), str(port)], stdout=subprocess.PIPE, text=True
            )
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()
            output, _ = client.communicate(timeout=20)
        assert output.strip() == "None"


PROBE = (
    "import sys; sys.path.insert(0, sys.argv[1]); import kafka_probe; "
    "print(kafka_probe.cluster_with_brokers('127.0.0.1', int(sys.argv[2])))"
)


class TestCommandLine:
    @pytest.mark.parametrize("arguments", [[], ["nonsense"], ["up", "extra"], ["up", "--nonsense"]])
    def test_wrong_use_is_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            services.main(arguments)
        assert ended.value.code == 2
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(("command", "code"), [("down", 0), ("status", 1), ("kill-kafka", 2), ("start-redis", 2)])
    def test_nothing_started(self, command: str, code: int, tmp_path: Path) -> None:
        state = tmp_path / "never"
        assert services.main([command, "--state", str(state)]) == code
        assert not state.exists()

    def test_missing_programs_are_3_and_start_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert services.main(["up", "--state", str(tmp_path / "state")]) == 3
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "openjdk-17-jre-headless" in captured.err
        assert "make services-redis" in captured.err
        assert not (tmp_path / "state" / "state.json").exists()

    def test_folder_that_kafka_cannot_use_is_2(self, tmp_path: Path) -> None:
        assert services.main(["up", "--state", str(tmp_path / "a,b")]) == 2
