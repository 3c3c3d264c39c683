"""The sending side of commands: publish a command, wait for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from config.errors import SettingsError
from config.settings import Settings
from stream.encryption.key_files import KeyRefused
from stream.encryption.reviewer_keys import SigningKey, read_signing_key
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic, topic_name
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.kafka.clients.clients import producer, reader, send
from stream.review.command_signatures import signed_headers
from stream.runtime.clock import SYSTEM_CLOCK

SOURCE = "liveness-cli"

DOUBTED = " What came carries no right MAC: are LIVENESS_RECORDS__KEYS here those of the workers?"
#: Whether a record is a worker's.
Believed = Callable[[Record], bool]


class NoAnswer(Exception):
    """No worker answered in time. The command stays on its topic and will be carried out."""


def each_record(record: Record) -> bool:
    """Belief of a client without record keys."""
    return True


async def ask(
    settings: Settings, command: dict[str, Any], key: str, timeout_s: float, believed: Believed = each_record
) -> dict[str, Any]:
    """The audit entry that answers the command.

    `key` is the correlation id, subject or flag that the command is about: commands with the same key are carried out
    in order. The same `command_id` may be sent again: the answer is the same, and nothing is done twice. A record that
    isn't `believed` is no answer. Raises NoAnswer after `timeout_s` seconds, SettingsError for a signing key that can't
    be used.
    """
    tenants = (command.get("tenant"), None)  # the answer to a command with a malformed tenant names no tenant

    def answers(document: dict[str, Any]) -> bool:
        return document.get("command_id") == command["command_id"] and document.get("tenant") in tenants

    return await _exchanged(settings, command, key, timeout_s, Topic.AUDIT, answers, believed)


async def ask_session(
    settings: Settings, command: dict[str, Any], key: str, timeout_s: float, believed: Believed = each_record
) -> dict[str, Any]:
    """The event on the sessions topic that answers a command about sessions: the session in its new state, or the
    refusal, which has an `error`. Otherwise as `ask`, and without a right to read the audit topic."""
    tenants = (command.get("tenant"), None)

    def answers(document: dict[str, Any]) -> bool:
        if document.get("tenant") not in tenants:
            return False
        if document.get("command_id") == command["command_id"]:
            return True
        asked = command.get("client_request_token")  # the answer to a repeat names no other command
        return asked is not None and bool(document.get("client_request_token") == asked)

    return await _exchanged(settings, command, key, timeout_s, Topic.SESSIONS, answers, believed)


async def _exchanged(
    settings: Settings,
    command: dict[str, Any],
    key: str,
    timeout_s: float,
    answered_on: Topic,
    answers: Callable[[dict[str, Any]], bool],
    believed: Believed,
) -> dict[str, Any]:
    """The first document on a topic, from the sending on, that answers the command."""
    kafka, topic = settings.kafka, topic_name(Topic.COMMANDS, settings.kafka)
    value = orjson.dumps(command)
    headers = binary_headers(EventType.COMMAND, event_id=command["command_id"], source=SOURCE, subject=key)
    if settings.commands.signing_key is not None:
        signing_key = await asyncio.to_thread(_signing_key, settings.commands.signing_key)
        headers = (*headers, *signed_headers(topic, value, signing_key, SYSTEM_CLOCK.now_ms()))
    output = Output(topic=topic, key=key.encode(), value=value, headers=headers)
    async with reader(kafka, topic_name(answered_on, kafka), from_start=False) as source, producer(kafka) as client:
        await send(client, output)
        records, doubted = source.records(), False
        try:
            async with asyncio.timeout(timeout_s):
                async for record in records:
                    answer = _answer(record.value)
                    if answers(answer):
                        if believed(record):
                            return answer
                        doubted = True
        except TimeoutError:
            pass
    raise NoAnswer(
        f"no answer within {timeout_s:g} s; is a worker with the command role running?"
        " A command without a right signature, where one is asked for, is set aside: liveness tail dead-letter."
        f"{DOUBTED if doubted else ''}"
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
    """The JSON object of a record's value; empty if the value is none."""
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
