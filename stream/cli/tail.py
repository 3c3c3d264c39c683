"""`liveness tail`: decisions or dead letters as they are published, without pictures and personal headers."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import orjson
import typer

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.authentication import open_macs
from stream.cli.console import FollowOption, JsonOption, out, print_json, print_line, say
from stream.cli.decision_view import NOT_SHOWN, show
from stream.events.message.messages import Record
from stream.events.topics import Topic, topic_name
from stream.events.wire.dead_letter import described
from stream.kafka.clients.clients import reader


class Tailed(StrEnum):
    DECISIONS = "decisions"
    DEAD_LETTER = "dead-letter"


_TOPIC = {Tailed.DECISIONS: Topic.DECISIONS, Tailed.DEAD_LETTER: Topic.DEAD_LETTER}


def command(
    what: Annotated[Tailed, typer.Argument(help="What to watch.")] = Tailed.DECISIONS,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest record kept.")] = False,
    follow: FollowOption = True,
    most: Annotated[int, typer.Option("--most", min=0, help="Stop after this many; 0 never stops.")] = 0,
    json: JsonOption = False,
) -> None:
    """Show decisions (or why records were set aside) as they are published. Ctrl-C ends it."""
    asyncio.run(_tail(configuration.load(), what, from_start, follow, most, json))


async def _tail(settings: Settings, what: Tailed, from_start: bool, follow: bool, most: int, json: bool) -> None:
    shown, band, macs = 0, settings.policy().inconclusive_band, open_macs(settings)
    async with reader(settings.kafka, topic_name(_TOPIC[what], settings.kafka), from_start=from_start) as source:
        async for record in source.records() if follow else source.until_end():
            if (fault := macs.fault(record)) is None:
                _print(what, record, json, band)
            else:
                say(f"partition {record.partition}, offset {record.offset}: {fault.words}")
            shown += 1
            if shown == most:
                return


def _print(what: Tailed, record: Record, json: bool, band: float) -> None:
    if what is Tailed.DEAD_LETTER:
        letter = described(record)
        print_json(letter) if json else out.print(letter, markup=False)
        return
    value = record.value or b""
    if json:
        print_line(value)
        return
    try:
        event = orjson.loads(value)
        show(out, event["submission_id"], event, band)
    except NOT_SHOWN:
        say(f"partition {record.partition}, offset {record.offset}: no decision")
