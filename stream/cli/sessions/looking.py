"""`liveness sessions show`, `list` and `watch`: sessions as they are, and their changes as they are published."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
import typer

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.bootstrap.authentication import open_macs
from stream.cli.abuse.options import TenantOption
from stream.cli.console import FollowOption, JsonOption, fail, out, print_json, print_line, say
from stream.cli.sessions.options import CorrelationOption, SessionArgument
from stream.cli.sessions.view import change, line, refused, say_asked
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import reader


def show(session_id: SessionArgument, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Show a session as it is now. Exit 1 if none is known of this id."""
    found = asyncio.run(_show(configuration.load(), tenant, session_id))
    if found is None:
        fail("no session is known of this id (with --tenant, if it belongs to one)")
    if json:
        print_json(found)
        return
    out.print(line(found))
    say_asked(found)


def list_(
    tenant: TenantOption = None,
    correlation_id: CorrelationOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show so many at most.")] = 100,
    json: JsonOption = False,
) -> None:
    """Show the sessions of a tenant (or those that name none), or of one correlation id, newest first."""
    found = asyncio.run(_list(configuration.load(), tenant, correlation_id, limit))
    for session in found:
        print_json(session) if json else out.print(line(session))
    if not found and not json:
        say("No sessions.")


def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event kept.")] = False,
    follow: FollowOption = True,
    json: JsonOption = False,
) -> None:
    """Show changes of sessions as they are published, without tokens. Ctrl-C ends it.

    With record keys a record that no worker wrote is named by its place, and not shown.
    """
    asyncio.run(_watch(configuration.load(), from_start, follow, json))


async def _show(settings: Settings, tenant: str | None, session_id: str) -> dict[str, Any] | None:
    async with table(settings) as opened:
        return await opened.session_queries.session(tenant, session_id)


async def _list(settings: Settings, tenant: str | None, correlation_id: str | None, limit: int) -> list[dict[str, Any]]:
    async with table(settings) as opened:
        return list((await opened.session_queries.sessions(tenant, correlation_id, limit=limit)).sessions)


async def _watch(settings: Settings, from_start: bool, follow: bool, json: bool) -> None:
    macs = open_macs(settings)
    async with reader(settings.kafka, topic_name(Topic.SESSIONS, settings.kafka), from_start=from_start) as source:
        async for record in source.records() if follow else source.until_end():
            place = f"partition {record.partition}, offset {record.offset}"
            if (fault := macs.fault(record)) is not None:
                say(f"{place}: {fault.words}")
                continue
            try:
                event = {**orjson.loads(record.value or b"")}
                event.pop("token", None)
                shown = change(event) if "state" in event else refused(event)
            except (ValueError, KeyError, TypeError, AttributeError):
                say(f"{place}: no session event")
                continue
            print_line(orjson.dumps(event)) if json else out.print(shown)
