"""The supervisor of the embedded store: starts the server, and ends it when the pipe to the owner closes.

Run as a script, with the standard library alone. The pipe closes when the owner closes the store, and also when the
owner is killed; a parent-death signal would do for the second alone, on one system, and end the server together with
the thread that started it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

STOP_TIMEOUT_S = 5.0


def main(folder: str, command: list[str]) -> int:
    """Exit code of the server. `folder` is removed when the owner is gone; after a failed start the owner reads the
    log there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a handler, since an ignored signal is inherited
        signal.signal(number, lambda *_: None)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    abandoned = threading.Event()
    threading.Thread(target=_end_with_owner, args=(server, abandoned), daemon=True).start()
    code = server.wait()
    if abandoned.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _end_with_owner(server: subprocess.Popen[bytes], abandoned: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written
    abandoned.set()
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
