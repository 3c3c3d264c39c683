"""`liveness worker` whose slots analyse each picture once and then answer from memory, so that what is left is the
worker's own cost. With a file as argument its loops count what they do, and the counts are written there on a signal.
"""

from __future__ import annotations

import asyncio.base_events as loops
import asyncio.selector_events as sockets
import json
import selectors
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka.conn import AIOKafkaConnection

from config import settings as configuration
from detectors.contract import Analysis
from stream.bootstrap import worker as bootstrap
from stream.kafka.worker.run import run
from stream.runtime import logs

WRITE = signal.SIGRTMIN
#: What is counted: class, method, name.
COUNTED = (
    (selectors.EpollSelector, "select", "looks for events"),
    (sockets._SelectorSocketTransport, "write", "sends"),
    (sockets._SelectorSocketTransport, "_read_ready__data_received", "receives"),
    (sockets.BaseSelectorEventLoop, "_write_to_self", "wake-ups of the other thread"),
    (loops.BaseEventLoop, "create_task", "tasks"),
    (loops.BaseEventLoop, "_call_soon", "callbacks"),
    (loops.BaseEventLoop, "call_at", "timers"),
)


class Remembering:
    """Analyser that answers a picture from memory after the first time."""

    def __init__(self, *settings: Any) -> None:
        from detectors.analysis import face_analyser  # only where slots are made: native code

        self._analyser = face_analyser(*settings)
        self._known: dict[bytes, Analysis] = {}

    def analyse(self, image: memoryview, /, *, measured: bool = False, rest: object = None) -> Analysis:
        end = bytes(image[-64:])
        if end not in self._known:
            self._known[end] = self._analyser.analyse(image)
        return self._known[end]


def _count_into(file: Path) -> None:
    counts: Counter[str] = Counter()

    def counted(of: Any, method: str, name_of: Callable[..., str]) -> None:
        plain = getattr(of, method)

        def counting(*args: Any, **kwargs: Any) -> Any:
            thread = "main" if threading.current_thread() is threading.main_thread() else "consumer"
            counts[f"{thread}: {name_of(*args)}"] += 1
            return plain(*args, **kwargs)

        setattr(of, method, counting)

    for of, method, name in COUNTED:
        counted(of, method, lambda *_, name=name: name)
    counted(AIOKafkaConnection, "send", lambda _, request, *__: type(request).__name__)
    signal.signal(WRITE, lambda *_: file.write_text(json.dumps(counts)))


if __name__ == "__main__":
    settings = configuration.load()
    logs.configure(settings.log)
    if sys.argv[1:]:
        _count_into(Path(sys.argv[1]))
    run(bootstrap.build_worker(settings, analyser=f"{__spec__.name}:Remembering"))
