"""The face index on Redis' vector sets (Redis 8.0 or newer), one server or a cluster.

Single vectors can't expire, and deleting a large set holds the server up: so a bucket is one key, small, and expires as
a whole. The names of the buckets are read together with the search, from a set per day; the search begins with the
buckets known from the last time, and goes on to new ones.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import count
from typing import TypeVar, cast

from abuse.event_time import DAY_MS
from abuse.faces.bucket_mirrors import BucketMirrors
from abuse.faces.face_index import (
    MOST_CANDIDATES,
    CandidateList,
    EnrolledReference,
    FacePlan,
    IndexBucket,
    Threshold,
    batches,
    nearest,
)
from abuse.faces.redis_face_codes import RedisFaceCodes
from abuse.faces.redis_face_commands import (
    GONE_TTL_MS,
    FaceCommands,
    buckets_from,
    element_of,
    reference_from,
    traces_from,
)
from abuse.faces.redis_face_search import FaceSearch
from abuse.redis_port import Command, RedisClient

#: Tenants, and buckets, whose last state is remembered.
TENANTS_REMEMBERED, BUCKETS_REMEMBERED = 4096, 65_536
PAGE = 500
#: More faces than any bucket holds.
EVERY_MEMBER = 10_000_000

Name = TypeVar("Name")
Value = TypeVar("Value")


class _Remembered(OrderedDict[Name, Value]):
    """A bounded dictionary that drops the entry written longest ago."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, name: Name, value: Value) -> None:
        super().__setitem__(name, value)
        self.move_to_end(name)
        if len(self) > self._most:
            self.popitem(last=False)


class RedisFaceIndex:
    """`in_order`: the server carries out all commands of a call in their order, as no cluster does."""

    def __init__(
        self,
        calls: RedisClient,
        key_prefix: str,
        plan: FacePlan,
        clock: Callable[[], float] = time.monotonic,
        *,
        in_order: bool = False,
    ) -> None:
        self._calls, self._plan, self._clock, self._in_order = calls, plan, clock, in_order
        self._commands = FaceCommands(key_prefix, plan)
        #: The buckets that the last search of a tenant saw listed.
        self._listed: _Remembered[str | None, frozenset[IndexBucket]] = _Remembered(TENANTS_REMEMBERED)
        self._sizes: _Remembered[IndexBucket, int] = _Remembered(BUCKETS_REMEMBERED)
        self.mirrors = BucketMirrors(plan, clock)
        self._codes = RedisFaceCodes(calls, self._commands)

    async def supported(self) -> bool:
        try:
            await self._calls.execute([("VCARD", f"{self._commands.tenants}-none")])
        except Exception as error:
            # The library's own kind of error isn't known in this room; any other error goes on.
            if "unknown command" in str(error).lower():
                return False
            raise
        return True

    async def search(
        self,
        reference: EnrolledReference,
        within: float,
        most: int = MOST_CANDIDATES,
        *,
        enrol: bool = False,
        narrowed: Threshold | None = None,
    ) -> CandidateList:
        tenant, plan = reference.tenant, self._plan
        if enrol and not self._in_order:
            await self.enrol([reference])
        own = self._bucket(reference)
        adding = self._commands.add(reference, own) if enrol and self._in_order else []
        days = plan.days(reference.at_ms)
        reading: list[Command] = [("SMEMBERS", self._commands.buckets_of(tenant, day)) for day in days]
        search = FaceSearch(
            self._calls, self._commands, plan, self._sizes, self.mirrors, reference, within, narrowed, self._clock
        )
        replies = await search.run([*adding, *reading], {own, *self._listed.get(tenant, ())})
        listed = zip(days, replies[len(adding) :], strict=True)
        buckets = frozenset().union(*(self._read(tenant, day, reply) for day, reply in listed if reply))
        self._listed[tenant] = buckets
        await search.run_on(buckets)
        found, more = await search.found(most)
        return CandidateList(
            candidates=nearest(reference, found, search.reach, plan) if found else (),
            gallery=search.gallery,
            complete=search.complete,
            more=more,
        )

    async def enrol(self, references: Sequence[EnrolledReference]) -> None:
        added = [(bucket, self._commands.add(each, bucket)) for each in references for bucket in [self._bucket(each)]]
        replies = iter(await self._calls.execute([command for _, commands in added for command in commands]))
        for bucket, commands in added:
            *_, self._sizes[bucket] = cast("list[int]", [next(replies) for _ in commands])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        key = self._commands.faces_of(tenant, correlation_id)
        (listed,) = await self._calls.execute([("ZRANGE", key, 0, -1)])
        found: set[str] = set()
        for page in batches(traces_from(key, tenant, cast("list[bytes]", listed)), PAGE):
            replies = await self._calls.execute([self._on(correlation_id, "VGETATTR", trace) for trace in page])
            found.update(trace[1] for trace, reply in zip(page, replies, strict=True) if reply is not None)
        return len(found)

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        key, gone = self._commands.faces_of(tenant, correlation_id), self._commands.gone(tenant, correlation_id)
        # First announced, then read: a `copy` meanwhile either sees the announcement or its trace is read here.
        await self._calls.execute([("SET", gone, "1", "PX", GONE_TTL_MS)])
        (listed,) = await self._calls.execute([("ZRANGE", key, 0, -1)])
        names = cast("list[bytes]", listed)
        removed: set[str] = set()
        for page in batches(list(zip(traces_from(key, tenant, names), names, strict=True)), PAGE):
            replies = await self._calls.execute([self._on(correlation_id, "VREM", trace) for trace, _ in page])
            removed.update(trace[1] for (trace, _), reply in zip(page, replies, strict=True) if reply)
            await self._blank((bucket, (correlation_id, submission_id)) for (bucket, submission_id), _ in page)
            await self._calls.execute([("ZREM", key, *(name for _, name in page))])
        return len(removed)

    async def tenants(self) -> list[str | None]:
        (listed,) = await self._calls.execute([("ZRANGE", self._commands.tenants, 0, -1)])
        return [name or None for name in sorted(each.decode() for each in cast("list[bytes]", listed))]

    async def references(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        kept_from_ms = now_ms - (self._plan.kept_until_ms(now_ms) - now_ms) - DAY_MS
        for day in range(kept_from_ms // DAY_MS, now_ms // DAY_MS + 2):
            (listed,) = await self._calls.execute([("SMEMBERS", self._commands.buckets_of(tenant, day))])
            for bucket in sorted(self._read(tenant, day, listed), key=lambda each: each.name):
                async for reference in self._faces(bucket):
                    yield bucket, reference

    async def copy(self, old: IndexBucket, reference: EnrolledReference) -> bool:
        name, submission_id = reference.correlation_id, reference.submission_id
        gone: Command = ("GET", self._commands.gone(old.tenant, name))
        announced, attributes = await self._calls.execute([gone, self._on(name, "VGETATTR", (old, submission_id))])
        if attributes is None:
            return True
        if announced is not None:
            return False  # enrolled before `forget` or after: can't be known here, only by `forget` itself
        new = self._bucket(reference)
        await self._calls.execute(self._commands.add(reference, new))
        (announced,) = await self._calls.execute([gone])
        if announced is not None:
            await self._take_back((old, new), reference)
        return True

    async def drop(self, old: IndexBucket, reference: EnrolledReference) -> None:
        # The trace stays until it expires: a worker that adds the face again at this moment may count on it.
        if not old.holds(reference.template):
            # First: a repetition finds the face as long as it is in the bucket.
            await self._codes.blank([(old, reference.name)])
            removal = self._on(reference.correlation_id, "VREM", (old, reference.submission_id))
            await self._calls.execute([removal])

    async def _take_back(self, buckets: tuple[IndexBucket, ...], reference: EnrolledReference) -> None:
        """Remove both faces, then their traces, of a correlation id that was forgotten during a `copy`."""
        name, submission_id = reference.name
        await self._calls.execute([self._on(name, "VREM", (bucket, submission_id)) for bucket in buckets])
        await self._blank((bucket, reference.name) for bucket in buckets)
        # In a round trip of its own: were the faces' nodes away, `forget` would find no trace of them.
        traces = (f"{bucket.name} {submission_id}" for bucket in buckets)
        await self._calls.execute([("ZREM", self._commands.faces_of(reference.tenant, name), *traces)])

    async def _blank(self, faces: Iterable[tuple[IndexBucket, tuple[str, str]]]) -> None:
        """Overwrite the codes of faces that were removed, wherever they stand by now."""
        await RedisFaceCodes(self._calls, self._commands).blank(faces)

    def _bucket(self, reference: EnrolledReference) -> IndexBucket:
        """The first bucket of the reference's stretch of time that isn't full, as far as this process knows."""
        parts = (self._plan.bucket(reference, part) for part in count())
        return next(bucket for bucket in parts if self._sizes.get(bucket, 0) < self._plan.most_faces)

    def _on(self, correlation_id: str, command: str, trace: tuple[IndexBucket, str]) -> Command:
        bucket, submission_id = trace
        return (command, self._commands.faces(bucket), element_of(correlation_id, submission_id))

    async def _faces(self, bucket: IndexBucket) -> AsyncIterator[EnrolledReference]:
        key = self._commands.faces(bucket)
        (members,) = await self._calls.execute([("VRANDMEMBER", key, EVERY_MEMBER)])
        elements = sorted(each.decode() for each in cast("list[bytes]", members))
        for page in batches(elements, PAGE):
            replies = await self._calls.execute([("VGETATTR", key, element) for element in page])
            for element, attributes in zip(page, replies, strict=True):
                if attributes is not None:
                    yield reference_from(key, bucket, element, attributes)

    def _read(self, tenant: str | None, day: int, reply: object) -> frozenset[IndexBucket]:
        """The buckets listed for a day."""
        return buckets_from(self._commands.buckets_of(tenant, day), tenant, cast("list[bytes]", reply))
