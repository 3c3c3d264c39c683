"""The scripted worker, killed once at each arrow of the main path: on a record that names the arrow.

Its argument is a folder, which remembers over all lives at which arrows the worker was killed: a file for each.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from abuse.ledger.redis_ledger import RedisLedger
from stream.kafka.agents.agents import AgentRunner
from stream.kafka.consumer.acks import InOrderAcks
from stream.pipeline.admission.admission import Admission
from stream.pipeline.decision.abuse_stage import AbuseStage
from stream.pipeline.decision.decide_stage import DecideStage
from stream.pipeline.detection.detect_stage import DetectStage
from tests.e2e import scripted_worker


@dataclass(frozen=True, slots=True)
class Arrow:
    """Where a path is cut: behind a method that an agent calls, or before."""

    agent: str
    owner: type
    method: str
    before: bool = False


ARROWS = {
    "read": Arrow("detect", Admission, "admit", before=True),
    "analysed": Arrow("detect", DetectStage, "handle"),
    "detection-confirmed": Arrow("detect", AgentRunner, "_handle"),
    "detection-acknowledged": Arrow("detect", InOrderAcks, "finish"),
    "detection-read": Arrow("decide", DecideStage, "decide", before=True),
    "observed": Arrow("decide", AbuseStage, "assess"),
    "flags-stored": Arrow("decide", RedisLedger, "record"),
    "decision-stored": Arrow("decide", DecideStage, "handle"),
    "decision-confirmed": Arrow("decide", AgentRunner, "_handle"),
}

#: The agent at work, and what its record says.
_work: ContextVar[tuple[str, bytes]] = ContextVar("_work", default=("", b""))


def mark(arrow: str) -> str:
    """Text in a record that gets its worker killed."""
    return f"kill-at-{arrow}."


def plant(folder: Path) -> None:
    _follow_records()
    for name, arrow in ARROWS.items():
        _cut(name, arrow, folder)


def _follow_records() -> None:
    work = AgentRunner._work

    async def following(runner: Any, ticket: Any, event: Any) -> None:
        values = (value for _, value in event.message.headers or ())
        _work.set((runner._spec.name, b" ".join([event.message.value or b"", *values])))
        await work(runner, ticket, event)

    AgentRunner._work = following  # type: ignore[method-assign]


def _cut(name: str, arrow: Arrow, folder: Path) -> None:
    original: Callable[..., Any] = getattr(arrow.owner, arrow.method)

    def kill() -> None:
        agent, said = _work.get()
        if agent == arrow.agent and mark(name).encode() in said and not (folder / name).exists():
            (folder / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @wraps(original)
    async def waited(*arguments: Any, **named: Any) -> Any:
        if arrow.before:
            kill()
        result = await original(*arguments, **named)
        if not arrow.before:
            kill()
        return result

    @wraps(original)
    def called(*arguments: Any) -> None:
        original(*arguments)
        kill()

    setattr(arrow.owner, arrow.method, waited if inspect.iscoroutinefunction(original) else called)


if __name__ == "__main__":
    plant(Path(sys.argv[1]))
    scripted_worker.main([])
