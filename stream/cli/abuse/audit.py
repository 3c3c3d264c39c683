"""`liveness abuse audit`: every audit entry, and whether the chain of hashes is whole."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import typer
from rich.text import Text

from abuse.review import audit
from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import PATIENCE_S, table
from stream.bootstrap.authentication import open_macs
from stream.cli.abuse import view
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json, say
from stream.events.authentication.record_mac import MacFault
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import reader

UNSIGNED_VARIABLE = "LIVENESS_RECORDS__UNSIGNED_UNTIL"


def command(json: JsonOption = False) -> None:
    """Show every audit entry and check the chain of their hashes. Exit 1 if an entry is missing or was changed.
    Records that no worker wrote are left out, with a warning."""
    settings = configuration.load()
    # First the head, then the entries: an entry appended meanwhile is no problem.
    head = asyncio.run(_head(settings))
    entries, unreadable, forged, unsigned = asyncio.run(_read(settings))
    checked = audit.check(entries)
    for entry in sorted(entries, key=lambda entry: (entry["at"], entry["number"])):
        print_json(entry) if json else out.print(_line(entry))
    problems = [*checked.problems, *filter(None, [audit.missing_end(entries, head)])]
    if unreadable:
        problems.append(f"{unreadable} records are no audit entries")
    if forged:  # added by a stranger and there to stay: the chain alone tells whether the trail is whole
        say(f"warning: left out {forged} records that carry no right MAC: no worker with these record keys wrote them")
    if unsigned:
        say(f"{unsigned} of them carry none: set {UNSIGNED_VARIABLE} to believe those from before record keys were set")
    for problem in problems:
        complain(problem)
    say(f"{checked.entries} entries in {checked.chains} chain(s), {len(problems)} problem(s)")
    if problems:
        raise typer.Exit(ExitCode.FAILURE)


async def _head(settings: Settings) -> audit.Head | None:
    async with table(settings) as opened:
        return await opened.patience.until_available(opened.audit.peek, at_most_s=PATIENCE_S)


async def _read(settings: Settings) -> tuple[list[dict[str, Any]], int, int, int]:
    """Audit entries, each once, the number of records that are none, of those that no worker wrote, and of those among
    them without a MAC."""
    found: dict[bytes, dict[str, Any]] = {}
    unreadable = forged = unsigned = 0
    macs = open_macs(settings)
    async with reader(settings.kafka, topic_name(Topic.AUDIT, settings.kafka), from_start=True) as source:
        async for record in source.until_end():
            if (fault := macs.fault(record)) is not None:
                forged, unsigned = forged + 1, unsigned + (fault is MacFault.MISSING)
                continue
            try:
                entry = orjson.loads(record.value or b"")
                audit.require_entry(entry)
                found[record.value or b""] = entry
            except ValueError:
                unreadable += 1
    return list(found.values()), unreadable, forged, unsigned


def _line(entry: dict[str, Any]) -> Text:
    """Audit entry on one line with all changes, so that searching for a flag id finds its reviewer."""
    error, note = entry["error"], entry["note"]
    words = (
        f"{entry['at']}  {entry['chain']} {entry['number']}  {entry['outcome']:<8} {entry['command'] or '-'} "
        f"by {entry['actor'] or '-'}{_signed(entry)} ({entry['reason'] or '-'}){view.of_tenant(entry)}"
    )
    parts = [words, *([f"note: {note}"] if note else []), *([error["code"]] if error else []), *_changes(entry)]
    return Text(plain("  ".join(parts)))


def _signed(entry: dict[str, Any]) -> str:
    """Words on the key that signed the command; none for an unsigned one."""
    signed = entry.get("signed_by")
    if not isinstance(signed, dict):
        return ""
    return f", signed with {signed.get('key')}{'' if signed.get('actor_matches') is True else ' OF ANOTHER ACTOR'}"


def _changes(entry: dict[str, Any]) -> list[str]:
    try:
        return [change.plain for change in view.changes(entry["changed"], brief=True)]
    except (KeyError, TypeError, AttributeError):
        return ["what it changed can't be read"]
