"""A trial process whose stage does what the record says.

Its arguments: a file that remembers how often it was started, how many starts fail, and the code they end with.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from config.errors import SettingsError
from stream.events.messages import Output, Record
from stream.runtime.patience import DependencyTimeout, RetryPolicy


class Stage:
    async def handle(self, record: Record) -> Sequence[Output]:
        match record.key:
            case b"exit":
                os._exit(77)
            case b"kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"spin":
                time.sleep(60)  # noqa: ASYNC251  # no event loop runs on
            case b"wait" | b"hang":
                await asyncio.sleep(60)
            case b"last words":
                asyncio.get_running_loop().call_later(0.2, os._exit, 77)
            case b"settings":
                raise SettingsError("redis: the user may not run GET")
            case b"raise":
                raise LookupError("what the record says")
            case b"away" if starts() <= 2:
                raise DependencyTimeout("redis")
        return [Output(topic="out", key=str(os.getpid()).encode(), value=record.value, headers=record.headers)]

    async def answer(self, record: Record) -> Sequence[Output]:
        return [Output(topic="answers", key=record.key, value=None, headers=())]


def starts() -> int:
    return len(Path(sys.argv[1]).read_text())


def main() -> None:
    with Path(sys.argv[1]).open("a") as file:
        file.write("x")
    if starts() <= int(sys.argv[2]):
        sys.exit(int(sys.argv[3]))
    from stream.kafka.agents import trial
    from stream.kafka.agents.trial import inherited_socket, serve

    worker = inherited_socket()
    assert worker is not None
    trial.BEAT_S, trial.SILENT_S = 0.2, 1.0
    try:
        asyncio.run(serve(worker, {"test": Stage()}, RetryPolicy()))
    except DependencyTimeout:
        sys.exit(3)
    except SettingsError:
        sys.exit(2)


if __name__ == "__main__":
    main()
