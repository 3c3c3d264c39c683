"""Benchmark session: for each size its own pictures, services, worker and load."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from detectors.pool.settings import available_cores
from stream.bench import photographs
from stream.bench.accounting import Books
from stream.bench.floor import floor_processes
from stream.bench.installation import Broker, installation
from stream.bench.load import load_process
from stream.bench.measurement import Bench, Progress
from stream.bench.mixes import Mix
from stream.bench.photographs import Size
from stream.bench.report import Report, SizeResult
from stream.embedded.session import WorkerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plan of a benchmark: `slots` None leaves the worker's own setting, no `files` means the portrait; `people`: each
    file shows another person."""

    broker: Broker
    sizes: Sequence[Size]
    seconds: float
    rounds: int
    slots: int | None
    mixes: Sequence[Mix] = tuple(Mix)
    files: Sequence[Path] = ()
    people: bool = False


def run(plan: Plan, progress: Progress) -> Report:
    """Report of a whole benchmark; blocks for minutes. Raises the errors of services and processes, `Unmeasurable`."""
    slots, results = 0, list[SizeResult]()
    for size in plan.sizes:

        def named(said: str, size: str = size.name) -> None:
            progress(f"{size}: {said}")

        named("starting")
        slots, of_size = _one_size(plan, size, named)
        results += of_size
    return Report(
        broker=str(plan.broker),
        slots=slots,
        rounds=plan.rounds,
        seconds=plan.seconds,
        pictures=_told(plan),
        results=results,
    )


def _one_size(plan: Plan, size: Size, progress: Progress) -> tuple[int, list[SizeResult]]:
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="liveness-bench-")))
        pictures = _pictures(plan, size, folder)
        place = exits.enter_context(installation(plan.broker, plan.slots, progress))
        worker = exits.enter_context(WorkerProcess(place.environment))
        floor = exits.enter_context(floor_processes(place.settings, pictures, available_cores()))
        load = exits.enter_context(load_process(place.settings, pictures, people=plan.people))
        floors = {f"floor_{number}": pid for number, pid in enumerate(floor.pids, start=1)}
        bench = Bench(
            floor=floor,
            load=load,
            books=Books(worker.pid, {**place.processes, "load": load.pid}, floors),
            seconds=plan.seconds,
            rounds=plan.rounds,
            mixes=plan.mixes,
            progress=progress,
        )
        return place.settings.detection.slots, bench.measure(size.name, pictures)


def _told(plan: Plan) -> str:
    if not plan.files:
        return "astronaut portrait, enlarged, with grain"
    return f"the user's, of {len(plan.files)} people" if plan.people else "the user's"


def _pictures(plan: Plan, size: Size, folder: Path) -> list[Path]:
    made = photographs.from_files(size, plan.files) if plan.files else photographs.from_portrait(size)
    files = []
    for number, picture in enumerate(made):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(picture)
    return files
