"""Floor process: the analysis of a slot, in a plain loop, without pool, broker or store around it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from config.catalogues.pad_networks import PadNetwork
from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.pad import PadSource
from detectors.template import TemplateSource
from stream.bench.child import serve
from stream.bench.new_tenants import new_tenant_ms


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _template(source: dict[str, Any] | None) -> TemplateSource | None:
    if source is None:
        return None
    return TemplateSource(manifest=_path(source["manifest"]), cache=Path(source["cache"]))


class Floor:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._analyser = FaceAnalyser(
            Policy.model_validate_json(plan["policy"]),
            _path(plan["bundle"]),
            _template(plan["template"]),
            tuple(PadSource(network=PadNetwork(**told), file=Path(file)) for told, file in plan["networks"]),
        )
        self._pictures = [Path(file).read_bytes() for file in plan["pictures"]]
        self._queue: Iterator[bytes] = cycle(self._pictures)

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "try":
            return {"errors": [self._analyser.analyse(picture).error for picture in self._pictures]}
        if order["do"] == "meet":
            return {"new_tenant_ms": new_tenant_ms(self._analyser.analyse(self._pictures[0]))}
        return self._work(order["seconds"])

    def _work(self, seconds: float) -> dict[str, Any]:
        """Analyses of picture after picture for so many seconds; whole pictures only."""
        count, started, cpu_started = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - started < seconds:
            self._analyser.analyse(next(self._queue))
            count += 1
        return {"count": count, "seconds": time.perf_counter() - started, "cpu_s": time.process_time() - cpu_started}


if __name__ == "__main__":
    serve(lambda plan: Floor(plan).answer)
