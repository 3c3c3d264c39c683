"""`liveness abuse rebuild`: the abuse table in Redis, written again from the topics."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.cli.console import JsonOption, out, print_json
from stream.maintenance.rebuild import Rebuild, Rebuilt


def command(json: JsonOption = False) -> None:
    """Write into Redis whatever the abuse table lacks, from the decisions, abuse-flags and audit topics.

    For a Redis that was lost; safe to repeat, and beside running workers.
    """
    done = asyncio.run(_rebuild(configuration.load()))
    if json:
        print_json(asdict(done))
        return
    out.print(
        f"{done.observations} observations, {done.links} links, {done.flag_events} flag events,"
        f" {done.audit_entries} audit entries"
        f" ({done.unreadable} records could not be read)"
    )


async def _rebuild(settings: Settings) -> Rebuilt:
    async with table(settings) as opened:
        return await Rebuild(
            settings=settings,
            ledger=opened.ledger,
            links=opened.links,
            audit=opened.audit,
            commands=opened.commands,
            erasures=opened.erasures,
            patience=opened.patience,
        ).run()
