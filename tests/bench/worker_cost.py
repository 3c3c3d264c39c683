"""Cost of the worker's main process without its slots' work: processor time by thread, and what the loops do.

.venv/bin/python -m tests.bench.worker_cost [--rate 15] [--seconds 10] [--rounds 2] [--size 720x960] [--mix ordinary]

On the configured broker and Redis, behind prefixes of its own. Slots answer pictures from memory, so that a busy or
slow machine bends the figures less; two versions are compared by turns. Counting adds a few per cent: `--no-counts`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from stream.bench import photographs
from stream.bench.installation import Broker, installation
from stream.bench.load import load_process
from stream.bench.mixes import Mix
from stream.cli.console import say
from stream.embedded.session import WorkerProcess
from tests.bench.counting_worker import WRITE

WARM_UP_S = 4.0
WRITTEN_WITHIN_S = 0.5


def command(
    rate: Annotated[float, typer.Option(help="Submissions a second.")] = 15.0,
    seconds: Annotated[float, typer.Option(help="Of a round.")] = 10.0,
    rounds: int = 2,
    size: str = "720x960",
    mix: Mix = Mix.ORDINARY,
    counts: bool = True,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures, file = _pictures(size, Path(folder)), Path(folder, "counts.json")
        module = ("tests.bench.counting_worker", *([str(file)] if counts else []))
        with (
            installation(Broker.CONFIGURED, None, say) as place,
            WorkerProcess(place.environment, module=module) as worker,
            load_process(place.settings, pictures) as load,
        ):
            load.pace(mix, rate, WARM_UP_S)
            load.result()
            for _ in range(rounds):
                cpu, done = _cpu_ms(worker.pid), _counts(worker.pid, file) if counts else {}
                load.pace(mix, rate, seconds)
                run = load.result()
                decided = max(len(run.moments), 1)
                _show(f"{decided} decisions, processor ms each", cpu, _cpu_ms(worker.pid), decided)
                if counts:
                    _show("each:", done, _counts(worker.pid, file), decided)


def _pictures(size: str, folder: Path) -> list[Path]:
    files = []
    for number, picture in enumerate(photographs.from_portrait(photographs.SIZES[size])):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(picture)
    return files


def _cpu_ms(pid: int) -> dict[str, float]:
    """Processor milliseconds of each thread so far, the main one first."""
    threads = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda thread: int(thread.name))
    spent = [int((thread / "schedstat").read_text().split()[0]) / 1e6 for thread in threads]
    return {"main" if not place else f"thread {place}": ms for place, ms in enumerate(spent)}


def _counts(pid: int, file: Path) -> dict[str, float]:
    file.unlink(missing_ok=True)
    os.kill(pid, WRITE)
    time.sleep(WRITTEN_WITHIN_S)
    found: dict[str, float] = json.loads(file.read_text())
    return found


def _show(title: str, before: dict[str, float], after: dict[str, float], decided: int) -> None:
    say(title)
    for name in sorted(after):
        each = (after[name] - before.get(name, 0.0)) / decided
        if each >= 0.01:
            say(f"{each:8.2f}  {name}")


if __name__ == "__main__":
    typer.run(command)
