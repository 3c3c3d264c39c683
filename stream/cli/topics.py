"""`liveness topics`: make the topics, list them, check them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import typer
from rich.table import Table

from config import settings as configuration
from stream import provisioning
from stream.cli.console import ExitCode, JsonOption, out, print_json
from stream.provisioning import TopicState

app = typer.Typer(help="Make, list and check the topics.", no_args_is_help=True)


@app.command("create")
def create(json: JsonOption = False) -> None:
    """Make every topic that is missing, mend settings that would lose or refuse records. Safe to repeat."""
    states = asyncio.run(provisioning.create(configuration.load().kafka))
    _show(states, json)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """Show every topic as the broker has it."""
    _show(asyncio.run(provisioning.check(configuration.load().kafka)), json)


@app.command("check")
def check(json: JsonOption = False) -> None:
    """The same, and exit 1 if a topic is missing or would lose or refuse records."""
    states = asyncio.run(provisioning.check(configuration.load().kafka))
    _show(states, json)
    if any(state.problems for state in states):
        raise typer.Exit(ExitCode.FAILURE)


def _show(states: list[TopicState], json: bool) -> None:
    if json:
        print_json({"topics": [asdict(state) for state in states]})
        return
    table = Table("topic", "partitions", "state", box=None)
    for state in states:
        word = state.in_words or ("created" if state.created else "mended" if state.mended else "ok")
        table.add_row(state.name, str(state.partitions), word)
    out.print(table)
