"""Decisions a second, and what one costs, with more and more workers whose slots sleep.

.venv/bin/python -m tests.bench.scale [--workers 1,2,4,8] [--seconds 15] [--rounds 2]

On the configured Kafka and Redis, under prefixes of the measurement's own. One slot a worker; each picture takes 0.2
seconds in which no processor works, so that a machine with few cores can show many workers. `linear` is a worker's
decisions a second as a share of those of the smallest number of workers in the same round; processor time is that of
the workers with their slots. Addresses, devices and the abuse table are on; nothing is enrolled, since nothing is seen.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from stream.bench import photographs
from stream.bench.accounting import Books
from stream.bench.installation import Broker, Installation, installation
from stream.bench.load import load_process
from stream.bench.measurement import within
from stream.bench.mixes import Mix
from stream.cli.console import say
from stream.embedded.session import WorkerProcess
from tests.bench import sleeping_worker
from tests.bench.growth import Row, show, sizes

#: Equal shares for as many workers.
PARTITIONS = 24
#: Pictures that are sent and not decided, for each worker: enough that no partition runs dry.
IN_FLIGHT = 30
#: Before a measurement: partitions settle and the pipeline fills.
FILL_S = 5.0


def main(
    workers: Annotated[str, typer.Option(help="Numbers of workers, comma-separated.")] = "1,2,4,8",
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 15.0,
    rounds: Annotated[int, typer.Option(help="Measurements of each number, in turns.")] = 2,
) -> None:
    numbers = sizes(workers, "--workers")
    os.environ.setdefault("LIVENESS_KAFKA__PARTITIONS", str(PARTITIONS))
    with tempfile.TemporaryDirectory(prefix="liveness-scale-") as folder:
        picture = Path(folder, "0.jpg")
        picture.write_bytes(photographs.from_portrait(photographs.SIZES["720x960"])[0])
        with installation(Broker.CONFIGURED, 1, say) as place:
            measured = [[_measure(place, picture, number, seconds) for number in numbers] for _ in range(rounds)]
    least = [of_round[0] for of_round in measured]
    rows = [_row(of, least) for of in zip(*measured, strict=True)]
    show({"sleep_s": sleeping_worker.SLEEP_S, "rounds": rounds, "seconds": seconds, "results": rows})


def _measure(place: Installation, picture: Path, number: int, seconds: float) -> Row:
    say(f"{number} workers")
    with ExitStack() as exits:
        module = [sleeping_worker.__name__]
        workers = [exits.enter_context(WorkerProcess(place.environment, module=module)) for _ in range(number)]
        load = exits.enter_context(load_process(place.settings, [picture]))
        books = [Books(worker.pid, {}) for worker in workers]
        load.saturate(Mix.STRANGERS, FILL_S + seconds, IN_FLIGHT * number)
        time.sleep(FILL_S)
        before = [book.processor_times() for book in books]
        time.sleep(seconds)
        after = [book.processor_times() for book in books]
        run = load.result()
    used = sum(sum(late.since(early).values()) for early, late in zip(before, after, strict=True))
    decided = within(run.moments, before[0].moment, after[0].moment)
    return {
        "workers": number,
        "per_s": decided / (after[0].moment - before[0].moment),
        "cpu_ms": 1000 * used / max(decided, 1),
        "undecided": run.undecided,
    }


def _row(measured: Sequence[Row], least: Sequence[Row]) -> Row:
    """Medians of one number of workers over all rounds; shares are within a round."""
    shares = [
        (row["per_s"] / row["workers"]) / (first["per_s"] / first["workers"])
        for row, first in zip(measured, least, strict=True)
    ]
    medians = {name: round(statistics.median(row[name] for row in measured), 2) for name in ("per_s", "cpu_ms")}
    undecided = sum(row["undecided"] for row in measured)
    return {
        "workers": measured[0]["workers"],
        **medians,
        "linear": round(statistics.median(shares), 3),
        "undecided": undecided,
    }


if __name__ == "__main__":
    typer.run(main)
