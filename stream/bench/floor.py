"""Floor: the bare analysis in plain processes, one a core, with a slot's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from config.settings import Settings
from detectors.pool.settings import PoolSettings, slot_environment
from stream.bench.child import Child
from stream.bootstrap.models import template_source


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRound:
    """Round of all floor processes: selfies a second, processor milliseconds a selfie."""

    per_s: float
    cpu_ms: float


def _template(settings: Settings) -> dict[str, str | None] | None:
    source = template_source(settings, settings.policy())
    if source is None:
        return None
    return {"manifest": None if source.manifest is None else str(source.manifest), "cache": str(source.cache)}


class FloorProcesses:
    """Floor processes, started when entered, idle between rounds."""

    def __init__(self, settings: Settings, pictures: Sequence[Path], count: int) -> None:
        bundle = settings.detection.face_landmarker_bundle
        self._plan = {
            "policy": settings.policy().model_dump_json(),
            "bundle": None if bundle is None else str(bundle),
            "template": _template(settings),
            "pictures": [str(picture) for picture in pictures],
        }
        self._count = count
        self._children: list[Child] = []
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        environment = slot_environment(PoolSettings(), os.environ)
        with ExitStack() as exits:
            for _ in range(self._count):
                child = Child("stream.bench.floor_process", self._plan, environment)
                self._children.append(exits.enter_context(child))
            for child in self._children:
                child.answer()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self._children]

    def errors(self) -> list[str | None]:
        """Error code of each picture, None for one that can be measured. Also warms the processes up."""
        for child in self._children:
            child.order({"do": "try"})
        answers = [child.answer() for child in self._children]
        errors: list[str | None] = answers[0]["errors"]
        return errors

    def measure(self, seconds: float) -> FloorRound:
        for child in self._children:
            child.order({"do": "work", "seconds": seconds})
        answers = [child.answer() for child in self._children]
        return FloorRound(
            per_s=sum(answer["count"] / answer["seconds"] for answer in answers),
            cpu_ms=1000 * sum(a["cpu_s"] for a in answers) / sum(a["count"] for a in answers),
        )
