"""`liveness abuse list`, `show` and `watch`: flags, their evidence, and new events as they are published."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from abuse.event_time import iso8601
from abuse.flags.flags import Flag, Severity
from abuse.ledger.flag_index import ALL_TENANTS, Selection
from abuse.ledger.journal import Attempt
from abuse.ledger.ledger import SubjectHistory
from abuse.links.link_codec import cluster_document
from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.bootstrap.authentication import open_macs
from stream.cli.abuse import view
from stream.cli.abuse.options import TenantOption
from stream.cli.abuse.target import Named, TargetArgument, named
from stream.cli.console import FollowOption, JsonOption, fail, out, plain, print_json, print_line, say
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import reader


def list_(
    tenant: TenantOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also expired and overridden ones, for a week.")] = False,
    severity: Annotated[list[Severity] | None, typer.Option(help="Only of this severity; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show so many at most.")] = None,
    json: JsonOption = False,
) -> None:
    """Show open flags of every tenant (or one), newest first, one a line."""
    selection = Selection(
        scope=ALL_TENANTS if tenant is None else tenant, severities=frozenset(severity or Severity), over=everything
    )
    asyncio.run(_list(configuration.load(), selection, limit, json))


def show(target: TargetArgument, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Show a flag, or all that is known of a subject: flags with evidence, attempts. Exit 1 if there is nothing."""
    settings = configuration.load()
    if not asyncio.run(_show(settings, named(target, tenant, settings), tenant, json)):
        fail("nothing is known of it (with --tenant, if it belongs to one)")


def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event kept.")] = False,
    follow: FollowOption = True,
    json: JsonOption = False,
) -> None:
    """Show flag events as they are published. Ctrl-C ends it."""
    asyncio.run(_watch(configuration.load(), from_start, follow, json))


async def _list(settings: Settings, selection: Selection, limit: int | None, json: bool) -> None:
    shown = 0
    async with table(settings) as opened:
        async for flag in opened.queries.every_flag(selection, await opened.now_ms()):
            print_line(flag.documents[-1]) if json else out.print(view.line(flag.event))
            shown += 1
            if shown == limit:
                break
    if not shown and not json:
        say("No flags." if selection.over else "No open flags.")


async def _show(settings: Settings, what: Named, tenant: str | None, json: bool) -> bool:
    async with table(settings) as opened:
        if what.flag_id is not None:
            flag = await opened.queries.flag(what.flag_id, ALL_TENANTS if tenant is None else tenant)
            if flag is not None:
                _show_flag(flag, json)
            return flag is not None
        assert what.subject is not None, "a target is a flag or a subject"
        known = await opened.queries.history(tenant, what.subject)
    linked = cluster_document(known.cluster)
    if json:
        print_json({**_document(known.history), "cluster": linked})
    else:
        _show_history(known.history)
        view.cluster(linked)
    return not known.is_empty


def _show_flag(flag: Flag, json: bool) -> None:
    if json:
        print_json({"flag": flag.event, "events": [orjson.loads(document) for document in flag.documents]})
        return
    view.with_evidence(flag.event)
    out.print(Text("  events:"))
    for document in flag.documents:
        event = orjson.loads(document)
        words = f"{event['timestamp']}  {event['state']} (level {event['level']})"
        out.print(Text(f"    {plain(words)}", style="dim"))


def _show_history(history: SubjectHistory) -> None:
    for flag in history.flags:
        view.with_evidence(flag.event)
    if history.cleared_at_ms >= 0:
        out.print(Text(f"cleared by a reviewer at {iso8601(history.cleared_at_ms)}: earlier attempts don't count"))
    if history.attempts:
        out.print(Text("attempts:"))
    for attempt in history.attempts:
        words = f"  {iso8601(attempt.at_ms)}  {attempt.finding:<12} {attempt.correlation_id}  {attempt.submission_id}"
        out.print(Text(plain(f"{words}  {attempt.species}"), style="dim"))


def _document(history: SubjectHistory) -> dict[str, Any]:
    return {
        "subject": {"type": history.subject.type, "key": history.subject.key},
        "flags": [flag.event for flag in history.flags],
        "attempts": [_attempt(attempt) for attempt in history.attempts],
        "cleared_at": iso8601(history.cleared_at_ms) if history.cleared_at_ms >= 0 else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    fields = asdict(attempt)
    return {"at": iso8601(fields.pop("at_ms")), **fields}


async def _watch(settings: Settings, from_start: bool, follow: bool, json: bool) -> None:
    macs = open_macs(settings)
    async with reader(settings.kafka, topic_name(Topic.ABUSE_FLAGS, settings.kafka), from_start=from_start) as source:
        async for record in source.records() if follow else source.until_end():
            if (fault := macs.fault(record)) is not None:
                say(f"partition {record.partition}, offset {record.offset}: {fault.words}")
                continue
            value = record.value or b""
            if json:
                print_line(value)
                continue
            try:
                out.print(view.line(orjson.loads(value)))
            except (ValueError, KeyError, TypeError, AttributeError):
                say(f"partition {record.partition}, offset {record.offset}: no flag event")
