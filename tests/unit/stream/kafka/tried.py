"""A trial process whose stage does what the record says. Its argument is a file with a byte for each start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from config.errors import SettingsError
from stream.events.message.messages import Output, Record
from stream.kafka.agents import trial
from stream.kafka.agents.trial import inherited_socket, serve
from stream.runtime.patience import DependencyTimeout, RetryPolicy


class Stage:
    async def handle(self, record: Record) -> Sequence[Output]:
        match record.key:
            case b"exit":
                os._exit(77)
            case b"kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"spin, then hang" if starts() <= 1:
                time.sleep(60)  # noqa: ASYNC251  # no event loop runs on
            case b"wait" | b"spin, then hang":
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
    return Path(sys.argv[1]).stat().st_size


def main() -> None:
    worker = inherited_socket()
    assert worker is not None
    trial.BEAT_S, trial.SILENT_S = 0.1, 0.5
    try:
        asyncio.run(serve(worker, {"test": Stage()}, RetryPolicy()))
    except DependencyTimeout:
        sys.exit(3)
    except SettingsError:
        sys.exit(2)


if __name__ == "__main__":
    main()
