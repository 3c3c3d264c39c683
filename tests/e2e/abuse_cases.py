"""Cases of abuse for tests: quick ways to earn a flag, and readers of the table and the topics."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from stream.events.message.messages import Output, Record
from stream.events.topics import Topic
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.clients import producer, send
from stream.review.command_client import SOURCE
from tests.e2e.analysers import marked
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually

HASH_KEYS = json.dumps([{"id": "k1", "secret": "a-secret-of-the-tests-and-of-nobody-else"}])
LIVE, SPOOF = 0.95, 0.1
#: SPOOF verdicts that earn a pause.
FAILURES = 5
REFUSED = frozenset({"SUBJECT_PAUSED", "SUBJECT_BLOCKED"})
ANSWER_S = 60.0
EVERY_MEMBER = 100_000


def picture(correlation_id: str, liveness: float, **optional: str) -> NewSubmission:
    return NewSubmission(
        image=marked(plain_picture(), "liveness", liveness), correlation_id=correlation_id, optional=optional
    )


def failures(correlation_id: str, number: int = FAILURES, **optional: str) -> list[NewSubmission]:
    return [picture(correlation_id, SPOOF, **optional) for _ in range(number)]


async def publish(installation: Installation, submissions: Iterable[NewSubmission]) -> None:
    """In order, and quicker than one by one."""
    async with producer(installation.settings.kafka) as client:
        sending = []
        for new in submissions:
            out = submission_output(new, installation.topic(Topic.SUBMISSIONS))
            sending.append(await client.send(out.topic, key=out.key, value=out.value, headers=list(out.headers)))
        await asyncio.gather(*sending)


async def decided(installation: Installation, submissions: Sequence[NewSubmission]) -> list[dict[str, Any]]:
    """Publish these; their decisions in the same order, once all are there."""
    await publish(installation, submissions)
    return await decisions_of(installation, [new.submission_id for new in submissions])


async def told(
    installation: Installation, topic: Topic, names: Iterable[str], name_of: Callable[[dict[str, Any]], str | None]
) -> dict[str, list[bytes]]:
    """Events of a topic by the name that `name_of` gives each, once all of `names` are there."""
    wanted = set(names)
    found: dict[str | None, list[bytes]] = {}

    async def all_there() -> bool:
        found.clear()
        for record in await installation.records(topic):
            found.setdefault(name_of(orjson.loads(record.value or b"")), []).append(record.value or b"")
        return wanted <= set(found)

    await eventually(all_there, f"{topic} has all of {len(wanted)}", ANSWER_S)
    return {name: values for name, values in found.items() if name is not None}


async def decisions_of(installation: Installation, names: Sequence[str]) -> list[dict[str, Any]]:
    found = await told(installation, Topic.DECISIONS, names, lambda event: event["submission_id"])
    return [orjson.loads(found[name][-1]) for name in names]


async def what_happens_to(installation: Installation, correlation_id: str, **optional: str) -> str | None:
    """The error of an honest picture sent now; None if it was analysed."""
    (decision,) = await decided(installation, [picture(correlation_id, LIVE, **optional)])
    return error_code(decision)


def error_code(decision: dict[str, Any]) -> str | None:
    return None if decision["error"] is None else str(decision["error"]["code"])


async def flagged(installation: Installation, *correlation_ids: str, **optional: str) -> dict[str, dict[str, Any]]:
    """Earn a pause for each of these ids; the flag of each, by correlation id."""
    await publish(installation, [new for name in correlation_ids for new in failures(name, **optional)])

    def flagged_id(flag: dict[str, Any]) -> str | None:
        return flag["subject"]["key"] if flag["kind"] == "excessive_retries" else None

    found = await told(installation, Topic.ABUSE_FLAGS, correlation_ids, flagged_id)
    return {name: orjson.loads(found[name][-1]) for name in correlation_ids}


async def flag_contents(installation: Installation) -> dict[str, list[bytes]]:
    """Event id -> everything that was published under it."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for record in await installation.records(Topic.ABUSE_FLAGS):
        found[dict(record.headers)["ce_id"].decode()].append(record.value or b"")
    return found


def event_id(flag_id: str, name: str) -> str:
    """As on the topic; held against the product by the tests that compare both."""
    return f"{flag_id}-{name.replace(' ', '-')}"


def command(name: str, **fields: Any) -> dict[str, Any]:
    said = {"actor": "reviewer", "reason": "tests", "note": "", "tenant": None}
    return {"command": name, "command_id": str(uuid.uuid4()), **said, **fields}


async def order(installation: Installation, commands: Iterable[dict[str, Any] | bytes], key: str | None = None) -> None:
    """Publish commands without waiting for answers, each under its own key unless told otherwise."""
    async with producer(installation.settings.kafka) as client:
        for each in commands:
            value = each if isinstance(each, bytes) else orjson.dumps(each)
            name = str(uuid.uuid4())
            headers = binary_headers(EventType.COMMAND, event_id=name, source=SOURCE, subject=name)
            out = Output(
                topic=installation.topic(Topic.COMMANDS), key=(key or name).encode(), value=value, headers=headers
            )
            await send(client, out)


async def answers(installation: Installation, names: Iterable[str]) -> dict[str, list[bytes]]:
    """Command id -> every answer on the audit topic, once each of these commands has one."""
    return await told(installation, Topic.AUDIT, names, lambda entry: entry["command_id"])


class AbuseTable:
    """The keys of the table as Redis holds them, seen from outside."""

    def __init__(self, installation: Installation) -> None:
        settings = installation.settings
        self._url = settings.redis.url.get_secret_value()
        self._prefix = f"{settings.redis_prefix}abuse:"

    async def dump(self) -> dict[str, Any]:
        """Key behind the prefix -> its value, whatever its type; no times to live."""
        async with Redis.from_url(self._url, protocol=2) as redis:
            held = {}
            for key in await self._keys(redis):
                if (value := await value_of(redis, key)) is not None:  # else it expired meanwhile
                    held[key.decode().removeprefix(self._prefix)] = value
            return held

    async def forget(self) -> int:
        """Delete every key of the table, and nothing else."""
        async with Redis.from_url(self._url, protocol=2) as redis:
            keys = await self._keys(redis)
            return int(await redis.delete(*keys)) if keys else 0

    async def immortal(self) -> list[str]:
        """Keys that never expire."""
        async with Redis.from_url(self._url, protocol=2) as redis:
            return [key.decode() for key in await self._keys(redis) if await redis.ttl(key) == -1]

    async def flag_events(self) -> dict[str, bytes]:
        """Event id -> document, of every flag."""
        found = {}
        for key, value in (await self.dump()).items():
            if key.startswith("flags:"):
                for field, text in value.items():
                    flag_id, _, name = field.decode().partition(" ")
                    if flag_id != "cleared":
                        found[event_id(flag_id, name)] = text.partition(b" ")[2]
        return found

    async def _keys(self, redis: Redis) -> list[bytes]:
        return sorted([key async for key in redis.scan_iter(match=f"{self._prefix}*", count=1000)])


async def value_of(redis: Redis, key: bytes) -> Any:
    kind = (await redis.type(key)).decode()
    if kind == "hash":
        return await redis.hgetall(key)
    if kind == "zset":
        return await redis.zrange(key, 0, -1, withscores=True)
    if kind == "set":
        return sorted(await redis.smembers(key))
    if kind == "vectorset":
        members = sorted(await redis.execute_command("VRANDMEMBER", key, EVERY_MEMBER))
        return {each: await redis.execute_command("VGETATTR", key, each) for each in members}
    assert kind in ("string", "none"), f"{key!r} is a {kind}"
    return await redis.get(key)


def contents(records: Iterable[Record]) -> set[tuple[bytes | None, bytes | None]]:
    return {(record.key, record.value) for record in records}
