"""`liveness abuse list`, `show` and `watch`: what is flagged, why, and what happens now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from abuse.event_time import iso8601
from abuse.flags.flags import Flag
from abuse.ledger.journal import Attempt
from abuse.ledger.ledger import SubjectHistory, find
from abuse.links.link_book import cluster_around
from abuse.links.link_codec import cluster_document
from abuse.links.links import NO_CLUSTER, Cluster
from abuse.subjects import Subject, SubjectType
from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import PATIENCE_S, Table, table
from stream.cli.abuse import view
from stream.cli.abuse.options import TenantOption
from stream.cli.abuse.target import Named, TargetArgument, named
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json, print_line, say
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import reader

#: Flags read at once.
PAGE = 64


def list_(
    tenant: TenantOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also expired and overridden ones, for a week.")] = False,
    json: JsonOption = False,
) -> None:
    """Show open flags of every tenant (or one), one a line."""
    asyncio.run(_list(configuration.load(), tenant, everything, json))


def show(target: TargetArgument, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Show a flag, or all that is known of a subject: flags with evidence, attempts. Exit 1 if there is nothing."""
    settings = configuration.load()
    if not asyncio.run(_show(settings, named(target, tenant, settings), tenant, json)):
        complain("nothing is known of it (with --tenant, if it belongs to one)")
        raise typer.Exit(ExitCode.FAILURE)


def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event kept.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on waiting for new ones.")] = True,
    json: JsonOption = False,
) -> None:
    """Show flag events as they are published. Ctrl-C ends it."""
    asyncio.run(_watch(configuration.load(), from_start, follow, json))


async def _list(settings: Settings, tenant: str | None, everything: bool, json: bool) -> None:
    now_ms, shown = _now_ms(), 0
    async with table(settings) as opened:
        async for flag in _flags(opened):
            if (tenant is None or flag.tenant == tenant) and (everything or flag.open_at(now_ms)):
                print_line(flag.documents[-1]) if json else out.print(view.line(flag.event))
                shown += 1
    if not shown and not json:
        say("No flags." if everything else "No open flags.")


async def _flags(opened: Table) -> AsyncIterator[Flag]:
    ledger, patience = opened.ledger, opened.patience
    ids = await patience.until_available(ledger.flag_ids, at_most_s=PATIENCE_S)
    for start in range(0, len(ids), PAGE):
        found = await asyncio.gather(*(_find(opened, flag_id) for flag_id in ids[start : start + PAGE]))
        for flag in found:
            if flag is not None:
                yield flag


async def _find(opened: Table, flag_id: str) -> Flag | None:
    return await opened.patience.until_available(lambda: find(opened.ledger, flag_id), at_most_s=PATIENCE_S)


async def _show(settings: Settings, what: Named, tenant: str | None, json: bool) -> bool:
    async with table(settings) as opened:
        if what.flag_id is not None:
            flag = await _find(opened, what.flag_id)
            if flag is None or tenant not in (None, flag.tenant):
                return False
            _show_flag(flag, json)
            return True
        subject = what.subject
        assert subject is not None, "a target is a flag or a subject"
        history = await opened.patience.until_available(
            lambda: opened.ledger.history(tenant, subject), at_most_s=PATIENCE_S
        )
        linked = cluster_document(await _cluster(opened, tenant, subject))
        if json:
            print_json({**_document(history), "cluster": linked})
        else:
            _show_history(history)
            view.cluster(linked)
        return bool(history.attempts or history.flags or linked["links"])


async def _cluster(opened: Table, tenant: str | None, subject: Subject) -> Cluster:
    if subject.type is not SubjectType.CORRELATION_ID:
        return NO_CLUSTER
    return await opened.patience.until_available(
        lambda: cluster_around(opened.book, tenant, subject.key), at_most_s=PATIENCE_S
    )


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
    async with reader(settings.kafka, topic_name(Topic.ABUSE_FLAGS, settings.kafka), from_start=from_start) as source:
        async for record in source.records() if follow else source.until_end():
            value = record.value or b""
            if json:
                print_line(value)
                continue
            try:
                out.print(view.line(orjson.loads(value)))
            except (ValueError, KeyError, TypeError, AttributeError):
                say(f"partition {record.partition}, offset {record.offset}: no flag event")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
