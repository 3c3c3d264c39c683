"""A search of the face index on Redis: batches of buckets, several at once, the newest first, until the deadline.

A bucket with a mirror is asked for its size and for the codes that are new since the last look. Redis searches only
where there is no mirror, where the mirror lacks a face, and where the mirror shows that something is near.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

from abuse.faces.bucket_mirror import BucketMirror, CodesWanted
from abuse.faces.bucket_mirrors import BucketMirrors
from abuse.faces.face_index import EnrolledReference, FacePlan, IndexBucket, Threshold, batches, threshold
from abuse.faces.protected_template import ProtectedTemplate, least_score
from abuse.faces.redis_face_commands import NEAR, SMALL, FaceCommands, names, reference_from, scored
from abuse.redis_port import Command, RedisClient, Reply, reading

#: Bucket -> number of faces when it was last searched.
Sizes = MutableMapping[IndexBucket, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Questions to a bucket beside its size: codes for its mirror, and near faces unless the mirror may do."""

    bucket: IndexBucket
    mirror: BucketMirror | None
    wanted: CodesWanted | None
    by_redis: bool


class FaceSearch:
    """The state of a search for one reference. `complete` turns False when a batch was left out."""

    def __init__(
        self,
        calls: RedisClient,
        commands: FaceCommands,
        plan: FacePlan,
        sizes: Sizes,
        mirrors: BucketMirrors,
        reference: EnrolledReference,
        within: float,
        narrowed: Threshold | None,
        clock: Callable[[], float],
    ) -> None:
        self._calls, self._commands, self._plan, self._sizes = calls, commands, plan, sizes
        self._mirrors, self._reference, self._clock = mirrors, reference, clock
        self._threshold = threshold(within, narrowed)
        self._probes = [(each, least_score(each, within, plan.distance(each.model))) for each in reference.probes]
        self._deadline = clock() + plan.deadline_s
        self._searched: set[IndexBucket] = set()
        self._near: dict[tuple[IndexBucket, str], float] = {}
        self._full: list[IndexBucket] = []
        self._filling = False
        self._sized = 0
        self.complete = True

    @property
    def gallery(self) -> int:
        """Other faces in the buckets searched so far."""
        return max(0, self._sized - 1)

    @property
    def reach(self) -> float:
        """The distance that counts in the gallery so far; in a larger one no farther face counts."""
        return self._threshold(self.gallery)

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
        if not self._near:
            return [], False
        template, plan = self._reference.template, self._plan
        least = least_score(template, self.reach, plan.distance(template.model))
        counting = [(-score, element, bucket) for (bucket, element), score in self._near.items() if score >= least]
        near = sorted(counting, key=itemgetter(0, 1))[:most]
        commands: list[Command] = [("VGETATTR", self._commands.faces(bucket), element) for _, element, bucket in near]
        replies = await self._calls.execute(commands)
        found = [
            reference_from(str(command[1]), bucket, element, reply)
            for command, (_, element, bucket), reply in zip(commands, near, replies, strict=True)
            if reply is not None  # forgotten between the two calls
        ]
        return found, len(counting) > most

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
        looks = [self._look(bucket) for bucket in buckets]
        commands = [*first, *(command for look in looks for command in self._asking(look))]
        replies = await self._calls.execute(commands)
        of_looks = iter(replies[len(first) :])
        by_mirror = [look for look in looks if not self._take(look, of_looks)]
        if unsure := self._unsure(by_mirror):
            further = [self._commands.search(bucket, *self._probe_for(bucket), sure=True) for bucket in unsure]
            for bucket, reply in zip(unsure, await self._calls.execute(further), strict=True):
                self._take_near(bucket, reply)
        return replies[: len(first)]

    def _look(self, bucket: IndexBucket) -> _Look:
        """A search reads on in one mirror at most that isn't whole: a page takes some milliseconds."""
        mirror = self._mirrors.of(bucket)
        whole = mirror is not None and mirror.whole
        reads = mirror is not None and (whole or not self._filling)
        self._filling = self._filling or (reads and not whole)
        return _Look(
            bucket=bucket, mirror=mirror, wanted=mirror.wanted() if mirror and reads else None, by_redis=not whole
        )

    def _asking(self, look: _Look) -> list[Command]:
        commands = [self._commands.size(look.bucket)]
        if look.wanted:
            commands.append(self._commands.read_codes(look.bucket, look.wanted.start, look.wanted.stop))
        if look.by_redis:
            small = self._sizes.get(look.bucket, SMALL) < SMALL
            commands.append(self._commands.search(look.bucket, *self._probe_for(look.bucket), small=small))
        return commands

    def _take(self, look: _Look, replies: Iterator[Reply]) -> bool:
        """Whether Redis told the near faces of the bucket; otherwise the mirror may rule the bucket out."""
        bucket, mirror, size = look.bucket, look.mirror, cast(int, next(replies))
        self._searched.add(bucket)
        self._sizes[bucket] = size
        self._sized += size
        if mirror and look.wanted:
            with reading(self._commands.codes(bucket)):
                mirror.take(look.wanted, cast(bytes, next(replies)), size)
        self._mirrors.looked_at(bucket, size)
        if mirror is None or look.by_redis:
            self._take_near(bucket, next(replies))
            return True
        return False

    def _unsure(self, looks: Sequence[_Look]) -> list[IndexBucket]:
        """Buckets that their mirrors don't rule out, once the sizes of all are known."""
        reach, own = self.reach if looks else 0.0, self._reference.correlation_id
        return [
            look.bucket
            for look in looks
            if look.mirror is None
            or not look.mirror.whole
            or look.mirror.may_hold(self._probe_for(look.bucket)[0], reach, own)
        ]

    def _take_near(self, bucket: IndexBucket, reply: Reply) -> None:
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
        key, own = self._commands.faces(bucket), self._reference.correlation_id
        return {(bucket, name): score for name, score in near if names(key, name)[0] != own}

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
