"""The erasure of a subject from the abuse table on Redis.

The subject's own journals and flags are found by their keys; its lines in the journals of devices, addresses and
prefixes, and flags of others that name it, by the sets written with them (`used`, `named`). These sets go last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from abuse.flags.flag_events import document_of
from abuse.flags.mentions import linked_ids, names, without
from abuse.ledger.journal import attempt_from
from abuse.ledger.redis_flag_index import removals
from abuse.ledger.redis_ledger_keys import ERASED_TTL_MS, LedgerKeys, subject_of
from abuse.redis_port import Command, RedisClient, Reply, fields_of, reading, texts_of
from abuse.review.erasure import Traces
from abuse.subjects import Subject, SubjectType

PAGE = 100


@dataclass(slots=True, kw_only=True)
class _Found:
    """Traces of a subject. `elsewhere`: commands on others' keys. `own`: keys to remove, traces to others last."""

    lines: int = 0
    mentions: int = 0
    flag_ids: set[str] = field(default_factory=set)
    elsewhere: list[Command] = field(default_factory=list)
    own: list[str] = field(default_factory=list)


class RedisLedgerErasure:
    def __init__(self, calls: RedisClient, key_prefix: str) -> None:
        self._calls = calls
        self._keys = LedgerKeys(key_prefix)

    async def held(self, tenant: str | None, subject: Subject) -> Traces:
        found = await self._survey(tenant, subject)
        return Traces(journal_lines=found.lines, flags=len(found.flag_ids), mentions=found.mentions)

    async def erase(self, tenant: str | None, subject: Subject) -> None:
        found = await self._survey(tenant, subject)
        ids = sorted(found.flag_ids)
        # First announced, then removed: a writer of one of these flags' events looks for the announcement afterwards.
        await self._all([("SET", self._keys.erased(name), "1", "PX", ERASED_TTL_MS) for name in ids])
        await self._all([*found.elsewhere, *removals(self._keys, tenant, ids)])
        await self._all([("DEL", self._keys.flag(name)) for name in ids])
        await self._all([("ZREM", self._keys.due(name), name) for name in ids])
        await self._all([("DEL", key) for key in found.own])

    async def _survey(self, tenant: str | None, subject: Subject) -> _Found:
        found = _Found()
        await self._own(tenant, subject, found)
        if subject.type is SubjectType.CORRELATION_ID:
            await self._in_journals(tenant, subject.key, found)
            await self._in_flags(tenant, subject.key, found)
            found.own += [self._keys.used(tenant, subject.key), self._keys.named(tenant, subject.key)]
        return found

    async def _own(self, tenant: str | None, subject: Subject, found: _Found) -> None:
        """Find the subject's own journals and flags, and the members by which other correlation ids lead to them."""
        journals, tables = self._keys.journals(tenant, subject), self._keys.all_flags(tenant, subject)
        members = [f"{subject.type} {key}" for key in subject.keys]
        users: set[str] = set()
        evidence: set[str] = set()
        for key, reply in await self._read([("ZRANGE", key, 0, -1) for key in journals]):
            lines = texts_of(reply)
            found.lines += len(lines)
            users |= {_correlation_of(key, line) for line in lines}
        for key, reply in await self._read([("HGETALL", key) for key in tables]):
            for name, text in _events(reply):
                found.flag_ids.add(name.partition(" ")[0])
                with reading(key):
                    evidence.update(linked_ids(document_of(text)))
        found.elsewhere += [("ZREM", self._keys.used(tenant, name), *members) for name in sorted(users)]
        found.elsewhere += [("SREM", self._keys.named(tenant, name), *members) for name in sorted(evidence)]
        found.own += [*journals, *tables]

    async def _in_journals(self, tenant: str | None, correlation_id: str, found: _Found) -> None:
        """Find the correlation id's lines in the journals of what it used."""
        ((key, reply),) = await self._read([("ZRANGE", self._keys.used(tenant, correlation_id), 0, -1)])
        journals = [journal for each in _subjects(key, reply) for journal in self._keys.journals(tenant, each)]
        for key, reply in await self._read([("ZRANGE", journal, 0, -1) for journal in journals]):
            mine = [line for line in texts_of(reply) if _correlation_of(key, line) == correlation_id]
            found.lines += len(mine)
            if mine:
                found.elsewhere.append(("ZREM", key, *mine))

    async def _in_flags(self, tenant: str | None, correlation_id: str, found: _Found) -> None:
        """Find events of others' flags that name the correlation id, and write them anew without it."""
        ((key, reply),) = await self._read([("SMEMBERS", self._keys.named(tenant, correlation_id))])
        tables = [self._keys.flags(tenant, each) for each in _subjects(key, reply)]
        for key, reply in await self._read([("HGETALL", table) for table in tables]):
            for name, text in _events(reply):
                cause, _, document = text.partition(" ")
                if names(document.encode(), correlation_id):
                    found.mentions += 1
                    redacted = without(document.encode(), correlation_id).decode()
                    found.elsewhere.append(("HSET", key, name, f"{cause} {redacted}"))

    async def _read(self, commands: Sequence[Command]) -> list[tuple[str, Reply]]:
        """Each key with its reply, read in pages."""
        replies = await self._all(commands)
        return [(str(command[1]), reply) for command, reply in zip(commands, replies, strict=True)]

    async def _all(self, commands: Sequence[Command]) -> list[Reply]:
        replies: list[Reply] = []
        for start in range(0, len(commands), PAGE):
            replies += await self._calls.execute(commands[start : start + PAGE])
        return replies


def _events(reply: Reply) -> list[tuple[str, str]]:
    """Fields that are events of flags, not a reviewer's clearings."""
    return [(name, text) for name, text in fields_of(reply).items() if name.startswith("fl_")]


def _subjects(key: str, reply: Reply) -> list[Subject]:
    with reading(key):
        return [subject_of(member) for member in texts_of(reply)]


def _correlation_of(key: str, line: str) -> str:
    with reading(key):
        return attempt_from(line).correlation_id
