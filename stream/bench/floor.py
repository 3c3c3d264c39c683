"""Floor: the bare analysis in plain processes, one a core, with a slot's environment."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config.settings import Settings
from detectors.pool.settings import PoolSettings, slot_environment
from stream.bench.child import Child
from stream.bootstrap.models import network_sources, template_source


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRound:
    """Round of all floor processes: selfies a second, processor milliseconds a selfie, and those that a worker needs
    for a tenant it has not met (`new_tenants`)."""

    per_s: float
    cpu_ms: float
    new_tenant_ms: float = 0.0


class FloorProcesses:
    """Floor processes, idle between rounds."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self.pids = [child.pid for child in children]

    def errors(self) -> list[str | None]:
        """Error code of each picture, None for one that can be measured. Also warms the processes up."""
        errors: list[str | None] = self._answers({"do": "try"})[0]["errors"]
        return errors

    def measure(self, seconds: float) -> FloorRound:
        answers = self._answers({"do": "work", "seconds": seconds})
        met = self._answers({"do": "meet"})
        return FloorRound(
            per_s=sum(answer["count"] / answer["seconds"] for answer in answers),
            cpu_ms=1000 * sum(a["cpu_s"] for a in answers) / sum(a["count"] for a in answers),
            new_tenant_ms=statistics.median(each["new_tenant_ms"] for each in met),
        )

    def _answers(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        for child in self._children:
            child.order(order)
        return [child.answer() for child in self._children]


@contextmanager
def floor_processes(settings: Settings, pictures: Sequence[Path], count: int) -> Iterator[FloorProcesses]:
    """So many floor processes for as long as the context lasts. Raises ChildFailed."""
    policy = settings.policy()
    source, bundle = template_source(settings, policy), settings.detection.face_landmarker_bundle
    plan = {
        "policy": policy.model_dump_json(),
        "bundle": bundle and str(bundle),
        "template": source and {"manifest": source.manifest and str(source.manifest), "cache": str(source.cache)},
        "networks": [(asdict(each.network), str(each.file)) for each in network_sources(settings, policy)],
        "pictures": [str(picture) for picture in pictures],
    }
    environment = slot_environment(PoolSettings(), os.environ)
    with ExitStack() as exits:
        children = [exits.enter_context(Child("stream.bench.floor_process", plan, environment)) for _ in range(count)]
        for child in children:
            child.answer()
        yield FloorProcesses(children)
