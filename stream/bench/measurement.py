"""Measurement of one picture size: rounds of floor and path in turn, then latency at two loads."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors.contract import ANALYSIS_STEPS
from stream.bench.accounting import FORK_SERVER, SLOT, WORKER, Books, ProcessorTimes
from stream.bench.floor import FloorProcesses, FloorRound
from stream.bench.load import LoadProcess, LoadRun
from stream.bench.mixes import Mix
from stream.bench.report import Latency, SizeResult

#: Enough for every slot and every buffer on the way; more would only lengthen the queue on the topic.
IN_FLIGHT = 32
#: Before a path round counts: the pipeline fills.
FILL_S = 1.5
WARM_UP_S = 2.0
LOADS = (50, 90)

Progress = Callable[[str], None]


class Unmeasurable(Exception):
    """Measurement impossible: a picture's analysis ends in an error, or submissions get no decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRound:
    """Round of the whole path; `cpu_ms` by role, milliseconds a submission."""

    per_s: float
    cpu_ms: Mapping[str, float]
    run: LoadRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Processes for one size, running."""

    floor: FloorProcesses
    load: LoadProcess
    books: Books
    seconds: float
    rounds: int
    mixes: Sequence[Mix]
    progress: Progress

    def measure(self, size: str, pictures: Sequence[Path]) -> list[SizeResult]:
        """Results of one size, one a mix."""
        self._warm_up()
        floors, paths = self._rounds()
        latencies = {mix: self._latencies(mix, paths[mix]) for mix in self.mixes}
        peak_mib = self.books.peak_mib()
        return [
            result_of(
                size,
                mix,
                picture_bytes=round(statistics.mean(picture.stat().st_size for picture in pictures)),
                floors=floors,
                paths=paths[mix],
                latencies=latencies[mix],
                peak_mib=peak_mib,
            )
            for mix in self.mixes
        ]

    def _warm_up(self) -> None:
        refused = [error for error in self.floor.errors() if error is not None]
        if refused:
            raise Unmeasurable(f"{len(refused)} of the pictures can't be analysed ({refused[0]})")
        self.load.saturate(self.mixes[0], WARM_UP_S, IN_FLIGHT)
        run = self.load.result()
        if not run.moments:
            raise Unmeasurable(f"none of {run.sent} submissions got a decision")

    def _rounds(self) -> tuple[list[FloorRound], dict[Mix, list[PathRound]]]:
        floors: list[FloorRound] = []
        paths: dict[Mix, list[PathRound]] = {mix: [] for mix in self.mixes}
        for number in range(self.rounds):
            self.progress(f"round {number + 1} of {self.rounds}")
            floors.append(self.floor.measure(self.seconds))
            for mix, rounds in paths.items():
                rounds.append(self._path_round(mix))
        return floors, paths

    def _path_round(self, mix: Mix) -> PathRound:
        """Round of the path: decisions and processor time between two moments in the middle of a full load."""
        self.load.saturate(mix, FILL_S + self.seconds, IN_FLIGHT)
        time.sleep(FILL_S)
        before = self.books.processor_times()
        time.sleep(self.seconds)
        after = self.books.processor_times()
        return path_round(before, after, self.load.result())

    def _latencies(self, mix: Mix, paths: Sequence[PathRound]) -> dict[str, Latency]:
        capacity = statistics.median(path.per_s for path in paths)
        return {str(load): self._latency(mix, capacity * load / 100) for load in LOADS}

    def _latency(self, mix: Mix, rate_per_s: float) -> Latency:
        self.progress(f"{mix}: latency at {rate_per_s:.1f} a second")
        self.load.pace(mix, rate_per_s, self.seconds * 2)
        run = self.load.result()
        return Latency(
            rate_per_s=rate_per_s,
            sent=run.sent,
            undecided=run.undecided,
            p50=_ms(percentile(run.latencies_s, 50)),
            p99=_ms(percentile(run.latencies_s, 99)),
        )


def path_round(before: ProcessorTimes, after: ProcessorTimes, run: LoadRun) -> PathRound:
    decided = within(run.moments, before.moment, after.moment)
    used = after.since(before)
    return PathRound(
        per_s=decided / (after.moment - before.moment),
        cpu_ms={role: 1000 * cpu_s / max(decided, 1) for role, cpu_s in used.items()},
        run=run,
    )


def result_of(
    size: str,
    mix: str,
    *,
    picture_bytes: int,
    floors: Sequence[FloorRound],
    paths: Sequence[PathRound],
    latencies: Mapping[str, Latency],
    peak_mib: Mapping[str, float],
) -> SizeResult:
    """Result of one size and mix from its rounds. Pure."""
    ours = [sum(path.cpu_ms[role] for role in (WORKER, FORK_SERVER, SLOT)) for path in paths]
    medians = {role: statistics.median(path.cpu_ms[role] for path in paths) for role in paths[0].cpu_ms}
    slots, worker, fork_server = medians.pop(SLOT), medians.pop(WORKER), medians.pop(FORK_SERVER)
    sent, new = (sum(getattr(path.run, name) for path in paths) for name in ("sent", "new_tenants"))
    new_tenants, new_tenant_ms = new / max(sent, 1), statistics.median(floor.new_tenant_ms for floor in floors)
    clocks = {step: sum(path.run.elapsed_ms.get(step, 0.0) for path in paths) for step in ANALYSIS_STEPS}
    return SizeResult(
        size=size,
        mix=mix,
        picture_bytes=picture_bytes,
        floor_per_s=statistics.median(floor.per_s for floor in floors),
        path_per_s=statistics.median(path.per_s for path in paths),
        ratio=paired_ratio([path.per_s for path in paths], [floor.per_s for floor in floors]),
        floor_cpu_ms=statistics.median(floor.cpu_ms for floor in floors),
        path_cpu_ms=statistics.median(ours),
        cpu_ratio=paired_ratio([floor.cpu_ms for floor in floors], ours),
        new_tenants=new_tenants,
        new_tenant_cpu_ms=new_tenant_ms,
        known_cpu_ratio=paired_ratio(
            [floor.cpu_ms for floor in floors], [used - new_tenants * new_tenant_ms for used in ours]
        ),
        cpu_ms={**apportion(slots, clocks), WORKER: worker, FORK_SERVER: fork_server},
        other_cpu_ms=medians,
        latency_ms=latencies,
        peak_mib=peak_mib,
        errors=dict(sum((Counter(path.run.errors) for path in paths), Counter[str]())),
        undecided=sum(p.run.undecided for p in paths) + sum(one.undecided for one in latencies.values()),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def percentile(values: Iterable[float], per_cent: float) -> float | None:
    """Nearest rank: the smallest value that `per_cent` of all values do not exceed; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * per_cent / 100), 1) - 1]


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median ratio of rounds that ran next to each other: the machine's drift cancels out in each pair."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def apportion(total: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Split `total` by weight; everything is 0 if no weight is above 0."""
    whole = sum(weights.values())
    return {name: total * weight / whole if whole > 0 else 0.0 for name, weight in weights.items()}


def within(moments: Iterable[float], start: float, end: float) -> int:
    """How many moments lie in (start, end]."""
    return sum(start < moment <= end for moment in moments)
