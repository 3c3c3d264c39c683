"""`liveness abuse rebuild`: the abuse table in Redis, written again from the topics."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.bootstrap.authentication import open_macs, open_reviewers, signatures_by
from stream.cli.console import JsonOption, complain, out, print_json, say
from stream.maintenance.rebuild import Rebuild, Rebuilt
from stream.runtime.patience import DependencyTimeout

EMPTIED = "redis lost its content, or was rebuilt, while this wrote to it: workers wait on; run it again"


def command(json: JsonOption = False) -> None:
    """Write into Redis whatever decisions, the abuse table, sessions and submissions in parts lack, from the topics.

    For a Redis that was lost: workers wait for the end of this, and go on. Safe to repeat, and beside running workers.
    Exit 3 where Redis lost its content once more meanwhile: run it again.
    """
    done = asyncio.run(_rebuild(configuration.load()))
    if json:
        print_json(asdict(done))
        return
    out.print(
        f"restored: {done.decisions} decisions for duplicates, {done.observations} observations, {done.links} links,"
        f" {done.flag_events} flag events, {done.audit_entries} audit entries, {done.sessions} sessions,"
        f" {done.parts} parts that wait for others"
        f" ({done.unreadable} records could not be read)"
    )
    if done.unauthenticated:
        complain(f"{done.unauthenticated} records carry no right MAC and were not believed (docs/SECURITY.md)")


async def _rebuild(settings: Settings) -> Rebuilt:
    async with table(settings) as opened:
        content = await opened.patience.until_available(opened.content.told)
        done = await Rebuild(
            settings=settings,
            ledger=opened.ledger,
            links=opened.links,
            decisions=opened.decisions,
            audit=opened.audit,
            commands=opened.commands,
            erasures=opened.erasures,
            patience=opened.patience,
            macs=open_macs(settings),
            signatures=signatures_by(settings, open_reviewers(settings)),
            parts=opened.parts,
            sessions=replace(opened.restoring, say=say),
        ).run()
        if await opened.patience.until_available(opened.content.told) != content:
            raise DependencyTimeout(EMPTIED)
        at_ms = await opened.patience.until_available(opened.time.now_ms)
        await opened.patience.until_available(opened.mark_rebuilt, at_ms)
        return done
