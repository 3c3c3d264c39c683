"""The face index on Redis' vector sets (Redis 8.0 or newer), one server or a cluster.

No expiry is there for single vectors, and deleting a large set holds the server up: so a place is one key, small, and
expires as a whole. Which places exist is read together with the search, from a set a day; the search begins with those
read last time, and goes on to any that were new.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar, cast

from abuse.event_time import DAY_MS
from abuse.faces.face_index import CandidateList, EnrolledReference, FacePlan, IndexBucket, batches, nearest
from abuse.faces.redis_face_commands import GONE_TTL_MS, FaceCommands, kept, places_from, traces_from
from abuse.faces.redis_face_search import FaceSearch
from abuse.redis_port import Command, RedisClient

#: Days of tenants, and places, whose last state is remembered.
DAYS_REMEMBERED, PLACES_REMEMBERED = 4096, 65_536
PAGE = 500
#: More than any place holds.
EVERY_MEMBER = 10_000_000

Name = TypeVar("Name")
Value = TypeVar("Value")


class _Remembered(OrderedDict[Name, Value]):
    """Forgets what was written longest ago."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, name: Name, value: Value) -> None:
        super().__setitem__(name, value)
        self.move_to_end(name)
        if len(self) > self._most:
            self.popitem(last=False)


class RedisFaceIndex:
    def __init__(
        self, calls: RedisClient, key_prefix: str, plan: FacePlan, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls, self._plan, self._clock = calls, plan, clock
        self._commands = FaceCommands(key_prefix, plan)
        self._listed: _Remembered[tuple[str | None, int], frozenset[IndexBucket]] = _Remembered(DAYS_REMEMBERED)
        self._sizes: _Remembered[IndexBucket, int] = _Remembered(PLACES_REMEMBERED)

    async def supported(self) -> bool:
        try:
            await self._calls.execute([("VCARD", f"{self._commands.tenants}-none")])
        except Exception as error:
            # Of the library's own kind, which isn't known here; and anything else goes on.
            if "unknown command" in str(error).lower():
                return False
            raise
        return True

    async def search(self, sighting: EnrolledReference, within: float) -> CandidateList:
        tenant, plan = sighting.tenant, self._plan
        days = plan.days(sighting.at_ms)
        reading: list[Command] = [("SMEMBERS", self._commands.places(tenant, day)) for day in days]
        search = FaceSearch(self._calls, self._commands, plan, self._sizes, sighting, within, self._clock)
        expected = {plan.place(sighting)}.union(*(self._listed.get((tenant, day), frozenset()) for day in days))
        replies = await search.run(reading, expected)
        places = [self._read(tenant, day, reply) for day, reply in zip(days, replies, strict=True)]
        await search.run_on(frozenset().union(*places))
        hits = nearest(sighting, await search.found(), within, plan)
        return CandidateList(hits=hits, gallery=max(0, search.gallery - 1), complete=search.complete)

    async def enrol(self, sightings: Sequence[EnrolledReference]) -> None:
        await self._calls.execute([command for each in sightings for command in self._commands.add(each)])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        key = self._commands.faces_of(tenant, correlation_id)
        (listed,) = await self._calls.execute([("ZRANGE", key, 0, -1)])
        found: set[str] = set()
        for page in batches(traces_from(key, tenant, cast("list[bytes]", listed)), PAGE):
            asked = [self._on(correlation_id, "VGETATTR", trace) for trace in page]
            told = await self._calls.execute(asked)
            found.update(trace[1] for trace, reply in zip(page, told, strict=True) if reply is not None)
        return len(found)

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        key, gone = self._commands.faces_of(tenant, correlation_id), self._commands.gone(tenant, correlation_id)
        # First said, then read: whoever copies a face meanwhile sees the one or is seen in the other.
        await self._calls.execute([("SET", gone, "1", "PX", GONE_TTL_MS)])
        (listed,) = await self._calls.execute([("ZRANGE", key, 0, -1)])
        names = cast("list[bytes]", listed)
        removed: set[str] = set()
        for page in batches(list(zip(traces_from(key, tenant, names), names, strict=True)), PAGE):
            taken = [self._on(correlation_id, "VREM", trace) for trace, _ in page]
            told = await self._calls.execute(taken)
            removed.update(trace[1] for (trace, _), reply in zip(page, told, strict=True) if reply)
            await self._calls.execute([("ZREM", key, *(name for _, name in page))])
        return len(removed)

    async def tenants(self) -> list[str | None]:
        (listed,) = await self._calls.execute([("ZRANGE", self._commands.tenants, 0, -1)])
        return [name or None for name in sorted(each.decode() for each in cast("list[bytes]", listed))]

    async def prints(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        kept_from_ms = now_ms - (self._plan.kept_until_ms(now_ms) - now_ms) - DAY_MS
        for day in range(kept_from_ms // DAY_MS, now_ms // DAY_MS + 2):
            (listed,) = await self._calls.execute([("SMEMBERS", self._commands.places(tenant, day))])
            for place in sorted(self._read(tenant, day, listed), key=lambda each: each.name):
                async for sighting in self._faces(place):
                    yield place, sighting

    async def copy(self, old: IndexBucket, sighting: EnrolledReference) -> bool:
        name, submission_id = sighting.correlation_id, sighting.submission_id
        gone: Command = ("GET", self._commands.gone(old.tenant, name))
        lately, stands = await self._calls.execute([gone, self._on(name, "VGETATTR", (old, submission_id))])
        if stands is None:
            return True
        if lately is not None:
            return False  # whether it was there before or came after can't be told here: `forget` knows its own
        await self._calls.execute(self._commands.add(sighting))
        (forgotten,) = await self._calls.execute([gone])
        if forgotten is not None:
            await self._take_back(old, sighting)
        return True

    async def drop(self, old: IndexBucket, sighting: EnrolledReference) -> None:
        # The trace stays until it expires: a worker that adds the face again at this moment may count on it.
        if self._plan.place(sighting) != old:
            taken = self._on(sighting.correlation_id, "VREM", (old, sighting.submission_id))
            await self._calls.execute([taken])

    async def _take_back(self, old: IndexBucket, sighting: EnrolledReference) -> None:
        """Somebody is forgotten while a face of theirs is copied: neither remains, nor where they were."""
        places, name, submission_id = (old, self._plan.place(sighting)), sighting.correlation_id, sighting.submission_id
        traced = self._commands.faces_of(old.tenant, name)
        await self._calls.execute([self._on(name, "VREM", (place, submission_id)) for place in places])
        # In a round trip of its own: were the faces' nodes away, `forget` would find them no more.
        await self._calls.execute([("ZREM", traced, *(f"{p.name} {submission_id}" for p in places))])

    def _on(self, correlation_id: str, what: str, trace: tuple[IndexBucket, str]) -> Command:
        place, submission_id = trace
        return (what, self._commands.faces(place), f"{correlation_id} {submission_id}")

    async def _faces(self, place: IndexBucket) -> AsyncIterator[EnrolledReference]:
        key = self._commands.faces(place)
        (members,) = await self._calls.execute([("VRANDMEMBER", key, EVERY_MEMBER)])
        elements = sorted(each.decode() for each in cast("list[bytes]", members))
        for page in batches(elements, PAGE):
            told = await self._calls.execute([("VGETATTR", key, element) for element in page])
            for element, attributes in zip(page, told, strict=True):
                if attributes is not None:
                    yield kept(key, place, element, attributes)

    def _read(self, tenant: str | None, day: int, reply: object) -> frozenset[IndexBucket]:
        """The places of a day as they are listed now, remembered for the next search."""
        places = places_from(self._commands.places(tenant, day), tenant, cast("list[bytes]", reply))
        self._listed[tenant, day] = places
        return places
