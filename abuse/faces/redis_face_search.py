"""One search of the face index on Redis: places in batches, several at once, the newest first, until time is up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import Any, cast

from abuse.faces.face_index import MOST_HITS, EnrolledReference, FacePlan, IndexBucket, batches, is_own
from abuse.faces.protected_template import ProtectedTemplate, least_score
from abuse.faces.redis_face_commands import NEAR, SMALL, FaceCommands, kept, names, scored
from abuse.redis_port import Command, RedisClient, Reply

#: Place -> how many faces were there when it was last searched.
Sizes = MutableMapping[IndexBucket, int]


class FaceSearch:
    """For one sighting. `complete` turns False when a batch was left out."""

    def __init__(
        self,
        calls: RedisClient,
        commands: FaceCommands,
        plan: FacePlan,
        sizes: Sizes,
        sighting: EnrolledReference,
        within: float,
        clock: Callable[[], float],
    ) -> None:
        self._calls, self._commands, self._plan, self._sizes = calls, commands, plan, sizes
        self._sighting, self._clock = sighting, clock
        self._probes = [(each, self._least(each, within)) for each in (sighting.print, *sighting.former)]
        self._deadline = clock() + plan.deadline_s
        self._searched: set[IndexBucket] = set()
        self._near: list[tuple[float, IndexBucket, str]] = []
        self._full: list[IndexBucket] = []
        self.gallery = 0
        self.complete = True

    def ordered(self, places: Iterable[IndexBucket]) -> list[IndexBucket]:
        """Those to search that haven't been: the sighting's own stretch of time first, which others may write to at
        this moment, then the newest."""
        own, window_ms, at_ms = self._plan.place(self._sighting), self._plan.window_ms, self._sighting.at_ms
        wanted = [
            place
            for place in places
            if place not in self._searched and place.within(at_ms - window_ms, at_ms + window_ms) and self._probe(place)
        ]
        return sorted(wanted, key=lambda place: (place.begin_ms != own.begin_ms, -place.begin_ms, place.name))

    async def run(self, first: Sequence[Command], places: Iterable[IndexBucket]) -> list[Reply]:
        """Carry out the commands and search these places; the replies to the commands."""
        ordered = self.ordered(places)
        head, rest = ordered[: self._plan.batch], ordered[self._plan.batch :]
        queue = deque(batches(rest, self._plan.batch))

        async def begin() -> list[Reply]:
            replies = await self._trip(first, head)
            await self._lane(queue)
            return replies

        replies, *_ = await _all(begin(), *(self._lane(queue) for _ in range(self._plan.lanes - 1)))
        self._note_cut(queue)
        return replies

    async def run_on(self, places: Iterable[IndexBucket]) -> None:
        """Search these too, unless time is up."""
        queue = deque(batches(self.ordered(places), self._plan.batch))
        await _all(*(self._lane(queue) for _ in range(min(self._plan.lanes, len(queue)))))
        self._note_cut(queue)

    async def found(self) -> list[EnrolledReference]:
        """The nearest candidates as they were added."""
        if self._full:
            await self._look_closer()
        near = sorted(self._near, key=lambda each: (-each[0], each[2]))[:MOST_HITS]
        asked: list[Command] = [("VGETATTR", self._commands.faces(place), element) for _, place, element in near]
        told = await self._calls.execute(asked)
        return [
            kept(str(command[1]), place, element, reply)
            for command, (_, place, element), reply in zip(asked, near, told, strict=True)
            if reply is not None  # forgotten between the two calls
        ]

    def _note_cut(self, queue: deque[Sequence[IndexBucket]]) -> None:
        self.complete = self.complete and not queue

    async def _lane(self, queue: deque[Sequence[IndexBucket]]) -> list[Reply]:
        while queue and self._clock() < self._deadline:
            await self._trip([], queue.popleft())
        return []

    async def _trip(self, first: Sequence[Command], places: Sequence[IndexBucket]) -> list[Reply]:
        commands = [*first]
        for place in places:
            probe, least = self._probe_for(place)
            commands += self._commands.search(place, probe, least, self._sizes.get(place, SMALL) < SMALL)
        replies = await self._calls.execute(commands)
        told = iter(replies[len(first) :])
        for place in places:
            self._take(place, cast(int, next(told)), next(told))
        return replies[: len(first)]

    def _take(self, place: IndexBucket, size: int, reply: Reply) -> None:
        self._searched.add(place)
        self._sizes[place] = size
        self.gallery += size
        key, (_, least) = self._commands.faces(place), self._probe_for(place)
        pairs = scored(key, reply, least)
        if len(pairs) < NEAR:
            self._near += self._others(place, key, pairs)
        else:
            self._full.append(place)

    async def _look_closer(self) -> None:
        """So many near faces in one place that it didn't tell all; they may be of one correlation id, our own."""
        asked = [self._commands.search_on(place, *self._probe_for(place)) for place in self._full]
        for place, command, reply in zip(self._full, asked, await self._calls.execute(asked), strict=True):
            key = str(command[1])
            self._near += self._others(place, key, scored(key, reply, self._probe_for(place)[1]))

    def _others(
        self, place: IndexBucket, key: str, pairs: Sequence[tuple[str, float]]
    ) -> list[tuple[float, IndexBucket, str]]:
        return [(score, place, name) for name, score in pairs if not is_own(self._sighting, names(key, name)[0])]

    def _least(self, probe: ProtectedTemplate, within: float) -> float:
        return least_score(probe, within, self._plan.distance(probe.model))

    def _probe(self, place: IndexBucket) -> tuple[ProtectedTemplate, float] | None:
        return next((each for each in self._probes if place.holds(each[0])), None)

    def _probe_for(self, place: IndexBucket) -> tuple[ProtectedTemplate, float]:
        probe = self._probe(place)
        assert probe is not None, "only places of one of the prints are searched"
        return probe


async def _all(*calls: Coroutine[Any, Any, list[Reply]]) -> list[list[Reply]]:
    """One fails: the others are still waited for, because what is cut short costs its connection."""
    told = await asyncio.gather(*calls, return_exceptions=True)
    results: list[list[Reply]] = []
    for each in told:
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
