"""The sending side of commands: publish a command, wait for its answer on the audit topic."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from config.settings import Settings
from stream.events.cloud_events import EventType, binary_headers
from stream.events.messages import Output
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import producer, reader, send

SOURCE = "liveness-cli"


class NoAnswer(Exception):
    """No worker answered in time. The command stays on its topic and will be carried out."""


async def ask(settings: Settings, command: dict[str, Any], key: str, timeout_s: float) -> dict[str, Any]:
    """The audit entry that answers the command.

    `key` is the correlation id, subject or flag that the command is about: commands with the same key are carried out
    in order. The same `command_id` may be sent again: the answer is the same, and nothing is done twice. Raises
    NoAnswer after `timeout_s` seconds.
    """
    kafka, command_id = settings.kafka, command["command_id"]
    tenants = (command.get("tenant"), None)  # the answer to a command with a malformed tenant names no tenant
    output = Output(
        topic=topic_name(Topic.COMMANDS, kafka),
        key=key.encode(),
        value=orjson.dumps(command),
        headers=binary_headers(EventType.COMMAND, event_id=command_id, source=SOURCE, subject=key),
    )
    async with reader(kafka, topic_name(Topic.AUDIT, kafka), from_start=False) as answers, producer(kafka) as client:
        await send(client, output)
        records = answers.records()
        try:
            async with asyncio.timeout(timeout_s):
                async for record in records:
                    answer = _answer(record.value)
                    if answer.get("command_id") == command_id and answer.get("tenant") in tenants:
                        return answer
        except TimeoutError:
            pass
    raise NoAnswer(f"no answer within {timeout_s:g} s; is a worker with the command role running?")


def _answer(value: bytes | None) -> dict[str, Any]:
    """The audit entry of a record's value; empty if the value is no audit entry."""
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
