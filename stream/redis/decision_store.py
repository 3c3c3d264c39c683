"""The decision store on Redis: one `SET key value NX GET` decides the first writer.

The command may be sent again after a lost reply: it then finds our own value, which is the same answer, so no script
and no counter is needed.

    decision:{HASH}                        the first, by tenant and submission id; kept apart: with :other:FINGERPRINT,
                                           or with what stands in for the fingerprint after a rebuild
    decisions-of:{TENANT|CORRELATION_ID}   sorted set, by when they were kept: which of these are the correlation id's
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar, cast

import orjson

from abuse.event_time import HOUR_MS, MS
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from abuse.store_record import Personal, RebuiltFrom, StoreRecord
from abuse.store_time import RedisTime, StoreTime
from config.policy import Policy
from config.settings import Settings
from stream.events.message.ids import SubmissionIds, request_id
from stream.pipeline.decision_store import (
    FINGERPRINT_LENGTH,
    PublishedDecision,
    StoredDecision,
    in_order,
    is_of,
    owner_key,
    settled,
    stand_in,
    unlinked,
)

#: Keys a ping writes, in as many slots: on a cluster it reaches every node, and a setting that doesn't know of the
#: cluster is noticed whichever node the address names.
PROBES = 32
#: Decisions read or removed at once.
PAGE = 100
#: A decision is listed so much longer than it is kept: the nodes of a cluster needn't agree on the time.
LISTED_LONGER_MS = HOUR_MS
OTHER = ":other:"


def _life_ms(settings: Settings, policy: Policy) -> int:
    return settings.redis.decision_ttl_s * MS


DECISION = StoreRecord(
    name="decision",
    holds="decisions, for duplicates",
    life_ms=_life_ms,
    after="it was made",
    rebuilt_from=(RebuiltFrom.DECISIONS,),
)
DECISIONS_OF = StoreRecord(
    name="decisions-of",
    holds="which of them are a correlation id's",
    life_ms=_life_ms,
    after="the last of them",
    rebuilt_from=(RebuiltFrom.DECISIONS,),
)
PROBE = StoreRecord(
    name="probe",
    holds="nothing: whether a decision could be kept",
    personal=Personal.NONE,
    life_ms=_life_ms,
    after="the last try",
)
RECORDS = (DECISION, DECISIONS_OF, PROBE)

T = TypeVar("T")


class RedisDecisionStore:
    """Adapter of the port `DecisionStore`, which says what each method promises."""

    def __init__(self, calls: RedisClient, key_prefix: str, ttl_s: int, time: StoreTime | None = None) -> None:
        self._calls, self._time = calls, time or RedisTime(calls)
        self._prefix = key_prefix
        self._ttl_s = ttl_s

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        key = self._key(ids)
        (held,) = await self._calls.execute([("GET", key)])
        return None if held is None else _unpack(held, key)

    async def put_if_absent(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        return await self._set_if_new(ids, self._key(ids), ours)

    async def put_by_fingerprint(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        restored = self._apart(ids, stand_in(request_id(ids, ours.fingerprint)))
        return await self._set_if_new(ids, self._apart(ids, ours.fingerprint), ours, restored)

    async def restore(self, published: Sequence[PublishedDecision]) -> int:
        now_ms = await self._time.now_ms()
        ended_ms = now_ms - self._ttl_s * MS
        kept = [each for each in published if each.decided_at_ms > ended_ms]
        places = in_order(kept, lambda each, owns: self._key(each.ids) if owns else self._apart_by_request(each))
        for page in _pages(list(places.items())):
            await self._restore(page, now_ms)
        return len(kept)

    async def _restore(self, page: Sequence[tuple[str, PublishedDecision]], now_ms: int) -> None:
        """Write what is missing, then mend what is held and isn't what was published first."""
        commands, sets = list[Command](), list[int]()
        for key, each in page:
            commands += self._listed(each.ids, key, min(each.decided_at_ms, now_ms), now_ms)
            sets.append(len(commands))
            commands.append((*self._set_to(key, each.stored, each, now_ms), "NX", "GET"))
        replies = await self._calls.execute(commands)
        mended = list[Command]()
        for (key, each), number in zip(page, sets, strict=True):
            if (reply := replies[number]) is None:
                continue
            held = _unpack(reply, key)
            first, other = settled(held, each)
            if first != held:
                mended.append(self._set_to(key, first, each, now_ms))
            if other is not None:
                apart = self._apart(each.ids, other.fingerprint)
                mended += self._listed(each.ids, apart, min(each.decided_at_ms, now_ms), now_ms)
                mended.append((*self._set_to(apart, other, each, now_ms), "NX"))
        await self._calls.execute(mended)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        return len(await self._theirs(tenant, [correlation_id]))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove the decisions first and their index last, so that a repeat after a crash finds the rest."""
        kept = await self._theirs(tenant, [correlation_id])
        for page in _pages(sorted(kept)):
            await self._calls.execute([("DEL", key) for key in page])
        await self._calls.execute([("DEL", self._index(tenant, correlation_id))])
        return len(kept)

    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        kept = await self._theirs(tenant, others)
        changed = {key: unlinked(stored.decision, correlation_id) for key, stored in kept.items()}
        news: list[Command] = [
            ("SET", key, _pack(StoredDecision(kept[key].fingerprint, decision)), "XX", "KEEPTTL")
            for key, decision in changed.items()
            if decision != kept[key].decision
        ]
        for page in _pages(news):
            await self._calls.execute(page)

    async def ping(self) -> None:
        # A write like any other: a replica, a full server and one that is too old answer PING all the same.
        ours = StoredDecision("0" * FINGERPRINT_LENGTH, b"probe")
        keys = [f"{self._prefix}{PROBE.name}:{number}" for number in range(PROBES)]
        for key, held in zip(keys, await self._calls.execute([self._set(key, ours) for key in keys]), strict=True):
            if held is not None:
                _unpack(held, key)

    async def close(self) -> None:
        await self._calls.close()

    async def _set_if_new(
        self, ids: SubmissionIds, key: str, ours: StoredDecision, restored: str | None = None
    ) -> StoredDecision:
        """Stored decision, ours or an earlier one, best that under `restored`. The index comes first: `forget` finds
        only indexed decisions."""
        listing = await self._listing(ids, key)
        looks: list[Command] = [] if restored is None else [("GET", restored)]
        *before, held = await self._calls.execute([*listing, *looks, self._set(key, ours)])
        if restored is not None and before[-1] is not None:
            return _unpack(before[-1], restored)
        return ours if held is None else _unpack(held, key)

    async def _listing(self, ids: SubmissionIds, key: str) -> list[Command]:
        if ids.correlation_id is None:
            return []
        now_ms = await self._time.now_ms()
        return self._listed(ids, key, now_ms, now_ms)

    def _listed(self, ids: SubmissionIds, key: str, kept_at_ms: int, now_ms: int) -> list[Command]:
        if ids.correlation_id is None:
            return []
        index = self._index(ids.tenant, ids.correlation_id)
        return [
            ("ZADD", index, "GT", kept_at_ms, key.removeprefix(self._prefix)),
            ("ZREMRANGEBYSCORE", index, "-inf", f"({now_ms - self._ttl_s * MS - LISTED_LONGER_MS}"),
            ("EXPIRE", index, self._ttl_s),
        ]

    async def _theirs(self, tenant: str | None, correlation_ids: Sequence[str]) -> dict[str, StoredDecision]:
        """Decisions of these correlation ids, by key. A decision that several ids list, since they used one submission
        id, counts for its own id only."""
        found: dict[str, StoredDecision] = {}
        for name in correlation_ids:
            (listed,) = await self._calls.execute([("ZRANGE", self._index(tenant, name), 0, -1)])
            keys = [self._prefix + each.decode() for each in cast("list[bytes]", listed)]
            for page in _pages(keys):
                for key, held in zip(page, await self._calls.execute([("GET", key) for key in page]), strict=True):
                    stored = None if held is None else _unpack(held, key)
                    if stored is not None and is_of(stored, name):
                        found[key] = stored
        return found

    def _set(self, key: str, ours: StoredDecision) -> Command:
        return ("SET", key, _pack(ours), "NX", "GET", "EX", self._ttl_s)

    def _set_to(self, key: str, ours: StoredDecision, published: PublishedDecision, now_ms: int) -> Command:
        """Write of a restored decision, for as long as it would have been kept anyway."""
        left_ms = self._ttl_s * MS - max(now_ms - published.decided_at_ms, 0)
        return ("SET", key, _pack(ours), "PX", left_ms)

    def _apart_by_request(self, published: PublishedDecision) -> str:
        return self._apart(published.ids, stand_in(published.request_id))

    def _apart(self, ids: SubmissionIds, fingerprint: str) -> str:
        return f"{self._key(ids)}{OTHER}{fingerprint}"

    def _key(self, ids: SubmissionIds) -> str:
        # Ids come from outside: hashed, they have one length and can't reach into another key; as JSON,
        # no tenant and id read like another tenant and id.
        digest = hashlib.sha256(orjson.dumps(owner_key(ids))).hexdigest()[:40]
        return DECISION.key(self._prefix, digest)

    def _index(self, tenant: str | None, correlation_id: str) -> str:
        return DECISIONS_OF.key(self._prefix, tenant or "", correlation_id)


def _pages(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + PAGE] for start in range(0, len(items), PAGE)]


def _pack(stored: StoredDecision) -> bytes:
    return stored.fingerprint.encode("ascii") + stored.decision


def _unpack(held: Reply, key: str) -> StoredDecision:
    if not isinstance(held, bytes) or len(held) <= FINGERPRINT_LENGTH or not held[:FINGERPRINT_LENGTH].isascii():
        raise ForeignValue(key)
    return StoredDecision(held[:FINGERPRINT_LENGTH].decode("ascii"), held[FINGERPRINT_LENGTH:])
