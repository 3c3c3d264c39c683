"""A search of the face index on Redis: batches of buckets, several at once, the newest first, until the deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import Any, cast

from abuse.faces.face_index import EnrolledReference, FacePlan, IndexBucket, batches
from abuse.faces.protected_template import ProtectedTemplate, least_score
from abuse.faces.redis_face_commands import NEAR, SMALL, FaceCommands, names, reference_from, scored
from abuse.redis_port import Command, RedisClient, Reply

#: Bucket -> number of faces when it was last searched.
Sizes = MutableMapping[IndexBucket, int]


class FaceSearch:
    """The state of a search for one reference. `complete` turns False when a batch was left out."""

    def __init__(
        self,
        calls: RedisClient,
        commands: FaceCommands,
        plan: FacePlan,
        sizes: Sizes,
        reference: EnrolledReference,
        within: float,
        clock: Callable[[], float],
    ) -> None:
        self._calls, self._commands, self._plan, self._sizes = calls, commands, plan, sizes
        self._reference, self._clock = reference, clock
        self._probes = [(each, least_score(each, within, plan.distance(each.model))) for each in reference.probes]
        self._deadline = clock() + plan.deadline_s
        self._searched: set[IndexBucket] = set()
        self._near: dict[tuple[IndexBucket, str], float] = {}
        self._full: list[IndexBucket] = []
        self.gallery = 0
        self.complete = True

    def ordered(self, buckets: Iterable[IndexBucket]) -> list[IndexBucket]:
        """The buckets still to search: the reference's own stretch of time first, where other workers may be enrolling
        at this moment, then the newest."""
        own, reach = self._plan.bucket(self._reference), self._plan.reach(self._reference.at_ms)
        wanted = [
            bucket
            for bucket in buckets
            if bucket not in self._searched and bucket.within(*reach) and self._probe(bucket)
        ]
        return sorted(wanted, key=lambda bucket: (bucket.begin_ms != own.begin_ms, -bucket.begin_ms, bucket.name))

    async def run(self, first: Sequence[Command], buckets: Iterable[IndexBucket]) -> list[Reply]:
        """Search these buckets; `first` goes out before the first batch, in one write. Returns the replies to `first`,
        which may enrol the reference: nothing is searched before."""
        ordered = self.ordered(buckets)
        replies = await self._search(first, ordered[: self._plan.batch])
        await self._search_all(ordered[self._plan.batch :])
        return replies

    async def run_on(self, buckets: Iterable[IndexBucket]) -> None:
        """Search these buckets too, unless the deadline has passed."""
        await self._search_all(self.ordered(buckets))

    async def found(self, most: int) -> tuple[list[EnrolledReference], bool]:
        """The nearest references as they were enrolled, and whether there were more."""
        if self._full and (most > NEAR or len(self._near) <= most):
            await self._search_full()
        near = sorted(self._near, key=lambda each: (-self._near[each], each[1]))[:most]
        commands: list[Command] = [("VGETATTR", self._commands.faces(bucket), element) for bucket, element in near]
        replies = await self._calls.execute(commands)
        found = [
            reference_from(str(command[1]), bucket, element, reply)
            for command, (bucket, element), reply in zip(commands, near, replies, strict=True)
            if reply is not None  # forgotten between the two calls
        ]
        return found, len(self._near) > most

    async def _search_all(self, buckets: Sequence[IndexBucket]) -> None:
        queue = deque(batches(buckets, self._plan.batch))
        if queue:
            await _all(*(self._work_off(queue) for _ in range(min(self._plan.concurrency, len(queue)))))
        self.complete = self.complete and not queue

    async def _work_off(self, queue: deque[Sequence[IndexBucket]]) -> list[Reply]:
        while queue and self._clock() < self._deadline:
            await self._search([], queue.popleft())
        return []

    async def _search(self, first: Sequence[Command], buckets: Sequence[IndexBucket]) -> list[Reply]:
        commands = [*first]
        for bucket in buckets:
            probe, least = self._probe_for(bucket)
            commands += self._commands.search(bucket, probe, least, self._sizes.get(bucket, SMALL) < SMALL)
        replies = await self._calls.execute(commands)
        of_buckets = iter(replies[len(first) :])
        for bucket in buckets:
            self._take(bucket, cast(int, next(of_buckets)), next(of_buckets))
        return replies[: len(first)]

    def _take(self, bucket: IndexBucket, size: int, reply: Reply) -> None:
        self._searched.add(bucket)
        self._sizes[bucket] = size
        self.gallery += size
        near = self._scored(bucket, reply)
        self._near |= self._others(bucket, near)
        if len(near) >= NEAR:
            self._full.append(bucket)

    async def _search_full(self) -> None:
        """Buckets with more near faces than the first reply could hold; all may be of the own correlation id."""
        commands = [self._commands.search_on(bucket, *self._probe_for(bucket)) for bucket in self._full]
        for bucket, reply in zip(self._full, await self._calls.execute(commands), strict=True):
            self._near |= self._others(bucket, self._scored(bucket, reply))

    def _scored(self, bucket: IndexBucket, reply: Reply) -> list[tuple[str, float]]:
        return scored(self._commands.faces(bucket), reply, self._probe_for(bucket)[1])

    def _others(self, bucket: IndexBucket, near: Sequence[tuple[str, float]]) -> dict[tuple[IndexBucket, str], float]:
        key, is_own = self._commands.faces(bucket), self._reference.is_own
        return {(bucket, name): score for name, score in near if not is_own(names(key, name)[0])}

    def _probe(self, bucket: IndexBucket) -> tuple[ProtectedTemplate, float] | None:
        return next((each for each in self._probes if bucket.holds(each[0])), None)

    def _probe_for(self, bucket: IndexBucket) -> tuple[ProtectedTemplate, float]:
        probe = self._probe(bucket)
        assert probe is not None, "only buckets of one of the probes are searched"
        return probe


async def _all(*calls: Coroutine[Any, Any, list[Reply]]) -> list[list[Reply]]:
    """The results of all calls. After an error the others are still awaited: a cancelled call costs its connection."""
    results: list[list[Reply]] = []
    for each in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
