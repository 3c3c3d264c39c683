"""`liveness topics`: make the topics, list them, check them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.table import Table

from abuse.redis_port import ForeignValue
from config import settings as configuration
from config.errors import SettingsError, Unavailable
from config.settings import Settings
from stream.bootstrap.fleet import look_at_fleet
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json
from stream.kafka.clients import access, backlog, provisioning
from stream.kafka.clients.access import Principal
from stream.kafka.clients.backlog import Backlog
from stream.kafka.clients.provisioning import TopicState
from stream.runtime.clock import SystemClock
from stream.runtime.fleet import Aspect, Badge, conflicts, differences

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
    """The same with the workers' backlog, and what living workers differ in.

    Exit 1 if records would be lost or refused, biometric data kept too long, or workers don't belong together.
    """
    settings = _settings()
    states, backlogs = asyncio.run(look(settings))
    fleet = asyncio.run(_look_at_fleet(settings))
    _show(states, json, backlogs, fleet)
    problems = any(state.problems for state in states) or any(waiting.problem for waiting in backlogs)
    if problems or (fleet is not None and fleet.apart):
        raise typer.Exit(ExitCode.FAILURE)


@app.command("acls")
def acls(
    principal: Annotated[
        list[str] | None,
        typer.Option(help="User of a principal: worker=User:liveness. By default each has its own name. Repeatable."),
    ] = None,
    command_config: Annotated[str, typer.Option(help="File with the login of the tool that is called.")] = "admin.conf",
    json: JsonOption = False,
) -> None:
    """Print the calls of Kafka's kafka-acls tool that give each principal the rights it needs. Asks no broker."""
    settings = configuration.load()
    users = _users(principal or [])
    for grant in access.grants(settings):
        user = users[grant.principal]
        if json:
            print_json({"user": user, **asdict(grant)})
        else:
            servers = settings.kafka.bootstrap_servers
            out.print(access.as_kafka_acls(grant, user, servers, command_config), markup=False)


def _users(named: Sequence[str]) -> dict[Principal, str]:
    users = {principal: f"User:{principal}" for principal in Principal}
    for each in named:
        principal, _, user = each.partition("=")
        if principal not in users or not re.fullmatch(r"[A-Za-z]+:\S.*", user):
            expected = f"expected one of {', '.join(Principal)}, then =User:NAME"
            raise typer.BadParameter(expected, param_hint="--principal")
        users[Principal(principal)] = user
    return users


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The living workers of the consumer group: what they differ in, and what keeps some of them `apart`, in words."""

    workers: Sequence[Badge]
    differences: Mapping[Aspect, str]
    apart: Sequence[str]


async def _look_at_fleet(settings: Settings) -> Fleet | None:
    """Living workers; None, and said, where Redis doesn't tell."""
    try:
        workers, now_ms = await look_at_fleet(settings)
    except (Unavailable, SettingsError, ForeignValue) as error:
        complain(f"the workers are not compared, Redis doesn't tell: {error}")
        return None
    return Fleet(workers=workers, differences=differences(workers), apart=conflicts(workers, now_ms))


def _show(states: list[TopicState], json: bool, backlogs: Sequence[Backlog] = (), fleet: Fleet | None = None) -> None:
    if json:
        told: dict[str, Any] = {"topics": [asdict(state) for state in states], "backlog": [asdict(b) for b in backlogs]}
        if fleet is not None:
            words = {str(aspect): words for aspect, words in fleet.differences.items()}
            told["fleet"] = {**asdict(fleet), "differences": words}
        print_json(told)
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
    if fleet is not None:
        _show_fleet(fleet)


def _show_fleet(fleet: Fleet) -> None:
    out.print(f"{len(fleet.workers)} worker(s) living" + ("" if fleet.differences else ", all alike"))
    for aspect, words in fleet.differences.items():
        out.print(plain(f"workers differ in {aspect}: {words}"), markup=False)
    for words in fleet.apart:
        out.print(plain(f"does not belong here: {words}"), markup=False)
