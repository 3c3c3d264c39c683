"""`liveness topics`: make the topics, list them, check them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.table import Table

from config import settings as configuration
from config.errors import SettingsError
from config.settings import Settings
from stream.cli.console import ExitCode, JsonOption, out, print_json
from stream.kafka import backlog, provisioning
from stream.kafka.backlog import Backlog
from stream.kafka.provisioning import TopicState
from stream.runtime.clock import SystemClock

EMBEDDED = "the embedded broker makes topics by itself and has no settings to look at"

app = typer.Typer(help="Make, list and check the topics.", no_args_is_help=True)


@app.command("create")
def create(json: JsonOption = False) -> None:
    """Make every topic that is missing, mend what would lose or refuse records, or keep biometric data too long.

    Settings that nobody chose become what they are on a new topic; others stay. Safe to repeat.
    """
    states = asyncio.run(provisioning.create(_settings().kafka))
    _show(states, json)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """Show every topic as the broker has it."""
    _show(asyncio.run(provisioning.check(_settings().kafka)), json)


@app.command("check")
def check(json: JsonOption = False) -> None:
    """The same with the workers' backlog; exit 1 if records would be lost or refused, biometric data kept too long."""
    settings = _settings()
    states, backlogs = asyncio.run(look(settings))
    _show(states, json, backlogs)
    if any(state.problems for state in states) or any(waiting.problem for waiting in backlogs):
        raise typer.Exit(ExitCode.FAILURE)


def _settings() -> Settings:
    settings = configuration.load()
    if settings.kafka.embedded:
        raise SettingsError(f"kafka.embedded: {EMBEDDED}")
    return settings


async def look(settings: Settings) -> tuple[list[TopicState], list[Backlog]]:
    """Topics as the broker has them, and the workers' backlog; no backlog while a topic is missing."""
    states = await provisioning.check(settings.kafka)
    there = all(state.partitions for state in states)
    return states, await backlog.look(settings, SystemClock()) if there else []


def _show(states: list[TopicState], json: bool, backlogs: Sequence[Backlog] = ()) -> None:
    if json:
        print_json({"topics": [asdict(state) for state in states], "backlog": [asdict(b) for b in backlogs]})
        return
    unread = {waiting.topic: waiting for waiting in backlogs}
    table = Table("topic", "partitions", "unread", "state", box=None)
    for state in states:
        word = state.in_words or ("created" if state.created else "mended" if state.mended else "ok")
        waiting = unread.get(state.name)
        if waiting is not None and waiting.problem:
            word += f"; {waiting.problem}"
        table.add_row(state.name, str(state.partitions), "" if waiting is None else str(waiting.lag), word)
    out.print(table)
