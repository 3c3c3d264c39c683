"""`liveness bench`: selfies a second, processor time and latency of the whole path, against the bare work."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from stream.bench import report as reports
from stream.bench.installation import Broker, default_broker
from stream.bench.mixes import Mix
from stream.bench.photographs import SIZES
from stream.bench.session import Plan, run
from stream.cli.console import JsonOption, fail, out, print_json, say
from stream.cli.pictures import pictures
from stream.embedded import extra


def command(
    folder: Annotated[
        list[Path] | None, typer.Argument(exists=True, help="Your own pictures; the portrait by default.")
    ] = None,
    broker: Annotated[Broker | None, typer.Option(help="By default the configured one, else the embedded one.")] = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(SIZES),
    mixes: Annotated[
        str, typer.Option(help="Comma-separated: who sends, and how often a face comes again.")
    ] = ",".join(Mix),
    seconds: Annotated[float, typer.Option(min=1.0, help="Of one round.")] = 6.0,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of floor and path, a size.")] = 3,
    slots: Annotated[int | None, typer.Option(min=1, help="Slot processes; by default the setting.")] = None,
    people: Annotated[bool, typer.Option(help="Each of your pictures shows another person.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure the path through the broker to the decision, and the bare analysis, in turns. Takes minutes."""
    extra.require()
    if people and not folder:
        raise typer.BadParameter("the portrait is of one person: name a folder of your own", param_hint="--people")
    plan = Plan(
        broker=broker or default_broker(),
        sizes=[SIZES[name] for name in _named(sizes, SIZES, "--sizes")],
        seconds=seconds,
        rounds=rounds,
        slots=slots,
        mixes=[Mix(name) for name in dict.fromkeys(_named(mixes, [*Mix], "--mixes"))],
        files=pictures(folder) if folder else [],
        people=people,
    )
    say(f"Measuring on the {plan.broker} broker.")
    report = run(plan, say)
    print_json(reports.document(report)) if json else out.print(reports.table(report))
    if report.failed:
        fail("some submissions got no decision, or one with an error: the figures don't count")


def _named(text: str, known: Collection[str], option: str) -> list[str]:
    """Names of a comma-separated option."""
    names = [name.strip() for name in text.split(",")]
    if not set(names) <= set(known):
        raise typer.BadParameter(f"expected some of {', '.join(known)}", param_hint=option)
    return names
