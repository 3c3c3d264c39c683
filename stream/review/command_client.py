"""The sending side of commands: publish a command, wait for its answer on the audit topic."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

from config.errors import SettingsError
from config.settings import Settings
from stream.encryption.key_files import KeyRefused
from stream.encryption.reviewer_keys import SigningKey, read_signing_key
from stream.events.cloud_events import EventType, binary_headers
from stream.events.messages import Output
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import producer, reader, send
from stream.review.command_signatures import signed_headers
from stream.runtime.clock import SYSTEM_CLOCK

SOURCE = "liveness-cli"


class NoAnswer(Exception):
    """No worker answered in time. The command stays on its topic and will be carried out."""


async def ask(settings: Settings, command: dict[str, Any], key: str, timeout_s: float) -> dict[str, Any]:
    """The audit entry that answers the command.

    `key` is the correlation id, subject or flag that the command is about: commands with the same key are carried out
    in order. The same `command_id` may be sent again: the answer is the same, and nothing is done twice. Raises
    NoAnswer after `timeout_s` seconds, SettingsError for a signing key that can't be used.
    """
    kafka, command_id = settings.kafka, command["command_id"]
    topic = topic_name(Topic.COMMANDS, kafka)
    tenants = (command.get("tenant"), None)  # the answer to a command with a malformed tenant names no tenant
    value, headers = (
        orjson.dumps(command),
        binary_headers(EventType.COMMAND, event_id=command_id, source=SOURCE, subject=key),
    )
    if settings.commands.signing_key is not None:
        signing_key = await asyncio.to_thread(_signing_key, settings.commands.signing_key)
        headers = (*headers, *signed_headers(topic, value, signing_key, SYSTEM_CLOCK.now_ms()))
    output = Output(topic=topic, key=key.encode(), value=value, headers=headers)
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
    raise NoAnswer(
        f"no answer within {timeout_s:g} s; is a worker with the command role running?"
        " A command without a right signature, where one is asked for, is set aside: liveness tail dead-letter."
    )


def _signing_key(path: Path) -> SigningKey:
    """Blocks. Raises SettingsError."""
    try:
        return read_signing_key(path.read_bytes(), path.stem)
    except OSError as error:
        raise SettingsError(f"commands.signing_key: {path} can't be read ({error.strerror})") from None
    except KeyRefused as error:
        raise SettingsError(f"commands.signing_key: {path} {error}") from None


def _answer(value: bytes | None) -> dict[str, Any]:
    """The audit entry of a record's value; empty if the value is no audit entry."""
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
