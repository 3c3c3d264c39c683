"""Re-keying of every face during searches: no face is overlooked at any moment, and no forgotten face comes back."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import EnrolledReference, FaceIndex, FacePlan, IndexBucket, InMemoryFaceIndex
from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.redis_port import Command, RedisClient, Reply
from stream.maintenance.rekeying import PAGE, Rekeyed, Rekeying
from stream.runtime.patience import RetryPolicy
from tests.contract.redis_servers import MEMORY, REDIS, RedisServer, Relay
from tests.enrolling import enrol_and_search
from tests.instants import NOW_MS

PLAN = FacePlan(window_ms=2 * DAY_MS, span_ms=HOUR_MS, deadline_s=30, batch=8, mirrored_from=20)
OLD = HashKey(id="k1", secret=b"1" * 32)
NEW = HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS)
BOTH = TemplateProtection([OLD, NEW], reach_ms=PLAN.window_ms)
ONLY_NEW = TemplateProtection([replace(NEW, since_ms=0)], reach_ms=PLAN.window_ms)
MODEL, DIMENSIONS, WITHIN = "made-up", 64, 0.3
#: The index in memory compares with everybody, and has no races of its own.
PEOPLE, PEOPLE_IN_MEMORY = 400, 160
HOURS, FORGOTTEN = 12, 40
#: Both roundings of a template to two bytes a number, before and after re-keying.
HALF = 0.001
#: Longer than a search takes here.
OVERLAP_S = 0.5
#: A real server and the embedded one are the same program: one is enough for whole crowds.
EMBEDDED, _, CLUSTER = REDIS
CROWDED = pytest.mark.parametrize("any_redis", [MEMORY, EMBEDDED, CLUSTER], indirect=True)


@dataclass
class Crowd:
    """People whose first face is enrolled under the old key. `going`: people being forgotten; `gone`: forgotten ones.
    `moving`: people whose faces were re-keyed last."""

    indexes: Sequence[FaceIndex]
    people: int = PEOPLE
    going: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    moving: deque[int] = field(default_factory=lambda: deque(range(PAGE), PAGE))
    looks: int = 0

    async def come(self) -> None:
        everybody = [reference(person, 0, BOTH) for person in range(self.people)]
        for start in range(0, self.people, 200):
            await self.indexes[0].enrol(everybody[start : start + 200])

    async def look(self, index: FaceIndex, person: int, number: int, keys: TemplateProtection = BOTH) -> None:
        """A person comes again under another correlation id; the first time is a candidate, once."""
        gone = person in self.gone
        met = await enrol_and_search(index, reference(person, number, keys), WITHIN)
        names = [hit.submission_id for hit in met.candidates]
        assert len(names) == len(set(names)), f"someone is a candidate twice: {sorted(names)}"
        first = [hit for hit in met.candidates if hit.submission_id == f"sub-{person}-0"]
        assert met.complete
        if gone:
            assert not first, f"{person} was forgotten"
        elif person not in self.going:
            (hit,) = first or [None]
            assert hit is not None, f"{person} is overlooked in look {number}, of {met.gallery}"
            exact = distances(plain(person, number), [plain(person, 0)], Distance.EUCLIDEAN)
            assert [hit.distance] == pytest.approx(exact, abs=HALF)
        self.looks += 1

    async def forget_some(self, until: asyncio.Event) -> None:
        for person in range(3, self.people, self.people // FORGOTTEN):
            if until.is_set():
                return
            self.going.add(person)
            await self.indexes[-1].forget("acme", f"cid-{person}-0")
            self.gone.add(person)
            await asyncio.sleep(0)

    async def keep_looking(self, searcher: int, until: asyncio.Event) -> None:
        chance, number = random.Random(searcher), 0
        while not until.is_set():
            number += 1
            index = self.indexes[searcher % len(self.indexes)]
            await self.look(index, chance.choice(self.moving), searcher * 1_000_000 + number)
            await asyncio.sleep(0)  # the one in memory never waits


def vector(person: int, number: int) -> bytes:
    """A person's template, a little different every time."""
    own = np.random.default_rng(person).standard_normal(DIMENSIONS) * 0.15
    off = np.random.default_rng([person, number]).standard_normal(DIMENSIONS) * 0.005
    return (own + off).astype("<f4").tobytes()


def plain(person: int, number: int) -> ProtectedTemplate:
    return ProtectedTemplate(MODEL, "none", vector(person, number))


def reference(person: int, number: int, keys: TemplateProtection) -> EnrolledReference:
    """Submission `number` of a person: 0 within the hours before the new key, later ones right after."""
    at_ms = NOW_MS + number % HOUR_MS if number else NOW_MS - 1 - person % HOURS * HOUR_MS
    template = keys.transform("acme", MODEL, vector(person, number), at_ms)
    return EnrolledReference(
        tenant="acme",
        correlation_id=f"cid-{person}-{number}",
        submission_id=f"sub-{person}-{number}",
        session_id=None,
        at_ms=at_ms,
        template=template,
        former=keys.under_all(template, "acme", at_ms),
    )


@pytest.fixture
async def crowd(any_redis: RedisServer | None) -> Crowd:
    made = Crowd([InMemoryFaceIndex(PLAN)], PEOPLE_IN_MEMORY)
    if any_redis is not None:
        made = Crowd([RedisFaceIndex(calls, any_redis.prefix, PLAN) for calls in any_redis.workers()])
    await made.come()
    return made


def rekeying(crowd: Crowd) -> Rekeying:
    return Rekeying(index=Watched(crowd), keys=BOTH, patience=RetryPolicy(), overlap_s=OVERLAP_S)


class Onlooker:
    """An index that tells what is copied and dropped, before and after."""

    def __init__(self, index: FaceIndex) -> None:
        self._index = index
        self.references, self.tenants = index.references, index.tenants

    async def copy(self, old: IndexBucket, reference: EnrolledReference) -> bool:
        self.before(reference)
        done = await self._index.copy(old, reference)
        await self.after("copied")
        return done

    async def drop(self, old: IndexBucket, reference: EnrolledReference) -> None:
        self.before(reference)
        await self._index.drop(old, reference)
        await self.after("dropped")

    def before(self, reference: EnrolledReference) -> None: ...

    async def after(self, what: str) -> None: ...


class Watched(Onlooker):
    """An index that notes the people whose faces are about to be copied or dropped."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__(crowd.indexes[0])
        self._moving = crowd.moving

    def before(self, reference: EnrolledReference) -> None:
        self._moving.append(int(reference.correlation_id.split("-")[1]))


class Cut(Onlooker):
    """An index that stops after so many copies or removals."""

    def __init__(self, index: FaceIndex, point: str, count: int) -> None:
        super().__init__(index)
        self._point, self._left = point, count
        self.reached = asyncio.Event()

    async def after(self, what: str) -> None:
        self._left -= what == self._point
        if not self._left:
            self.reached.set()
            await asyncio.Event().wait()  # until it is cancelled


async def until_nothing_moves(crowd: Crowd) -> list[Rekeyed]:
    told = [await rekeying(crowd).run(NOW_MS)]
    while told[-1].moved:
        assert len(told) < 10
        told.append(await rekeying(crowd).run(NOW_MS))
    return told


async def under_way(crowd: Crowd, searchers: int = 4) -> list[Rekeyed]:
    """Re-keys all faces while several workers search and some people are forgotten."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for searcher in range(1, searchers + 1):
            tasks.create_task(crowd.keep_looking(searcher, over))
        tasks.create_task(crowd.forget_some(over))
        told = await until_nothing_moves(crowd)
        over.set()
    return told


async def kept(crowd: Crowd) -> dict[str, list[EnrolledReference]]:
    """References of everybody's first submission, one per key they are under."""
    found: dict[str, list[EnrolledReference]] = {}
    async for _, each in crowd.indexes[0].references("acme", NOW_MS):
        if each.submission_id.endswith("-0"):
            found.setdefault(each.submission_id, []).append(each)
    return found


async def all_are_moved(crowd: Crowd) -> None:
    found = await kept(crowd)
    assert set(found) == {f"sub-{person}-0" for person in range(crowd.people) if person not in crowd.gone}
    assert {tuple(each.template.key_id for each in faces) for faces in found.values()} == {("k2",)}


@CROWDED
async def test_nobody_is_overlooked_during_rekeying(crowd):
    told = await under_way(crowd)
    assert crowd.gone
    assert crowd.looks > 20
    assert told[0].moved > crowd.people / 2
    await all_are_moved(crowd)
    for person in range(0, crowd.people, 7):
        await crowd.look(crowd.indexes[-1], person, 9_000_000 + person, ONLY_NEW)


@CROWDED
async def test_interrupted_rekeying_overlooks_nobody(crowd):
    for point in ("copied", "dropped"):
        await cut_short(crowd, point)
        for person in range(0, crowd.people, 11):
            await crowd.look(crowd.indexes[-1], person, 1000 + person)
        assert await crowd.indexes[-1].held("acme", "cid-1-0") == 1
    assert await crowd.indexes[-1].forget("acme", "cid-2-0") == 1
    crowd.gone.add(2)
    await until_nothing_moves(crowd)
    await all_are_moved(crowd)


async def cut_short(crowd: Crowd, point: str) -> None:
    """Re-keying cancelled once half of the copies, or of the removals, are done."""
    moving = rekeying(crowd)
    cut = Cut(moving.index, point, crowd.people // 2)
    running = asyncio.create_task(replace(moving, index=cut, overlap_s=0.0 if point == "dropped" else 9e9).run(NOW_MS))
    await asyncio.wait([running, asyncio.create_task(cut.reached.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


class Paused(Relay):
    """A client whose round trip `at` is preceded or followed by what happens `meanwhile`."""

    def __init__(self, calls: RedisClient, at: int, when: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(calls)
        self._at, self._when, self._meanwhile = at, when, meanwhile

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self._at -= 1
        if self._at == 0 and self._when == "before":
            await self._meanwhile()
        replies = await super().execute(commands)
        if self._at == 0 and self._when == "after":
            await self._meanwhile()
        return replies


@pytest.mark.parametrize(("at", "when"), [*product((1, 2, 3), ("before", "after")), (8, "before")])
async def test_a_face_moved_midsearch_is_found(redis_server, at, when):
    """The search goes through remembered and new buckets, one in each round trip."""
    plan = replace(PLAN, batch=1, concurrency=1)
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, plan)
    await index.enrol([reference(7, 0, BOTH), *(reference(person, 0, BOTH) for person in range(20, 24))])
    searches_over = asyncio.Event()

    async def until_over(_: float) -> None:
        waiting.set()
        await searches_over.wait()

    waiting, moves = asyncio.Event(), list[asyncio.Task[Rekeyed]]()
    times = {"overlap_s": 1.0, "clock": lambda: 9.0 if searches_over.is_set() else 0.0, "sleep": until_over}
    moving = Rekeying(index=index, keys=BOTH, patience=RetryPolicy(), **times)

    async def meanwhile() -> None:
        """Re-keying as far as it may go during a search."""
        moves.append(asyncio.create_task(moving.run(NOW_MS)))
        await asyncio.wait([moves[0], asyncio.create_task(waiting.wait())], return_when=asyncio.FIRST_COMPLETED)

    searching = RedisFaceIndex(Paused(redis_server.connect(), at, when, meanwhile), redis_server.prefix, plan)
    met = await enrol_and_search(searching, reference(7, 1, BOTH), WITHIN)
    assert [hit.submission_id for hit in met.candidates] == ["sub-7-0"]
    searches_over.set()
    assert (await moves[0]).moved == 5
    assert {each.template.key_id async for _, each in index.references("acme", NOW_MS)} == {"k2"}
