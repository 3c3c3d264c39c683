"""Mirrors of the face index: what they spare Redis, and that no face is overlooked for their sake."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from abuse.event_time import DAY_MS
from abuse.faces import bucket_mirror
from abuse.faces.bucket_mirror import PAGE, nbytes_of
from abuse.faces.bucket_mirrors import AGAIN_S, IDLE_S, SPARE_S
from abuse.faces.face_codes import codes_from, face_hash, layout
from abuse.faces.face_index import EnrolledReference, FacePlan, IndexBucket
from abuse.faces.protected_template import Distance, distances
from abuse.faces.redis_face_commands import FaceCommands
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from tests.contract.index_cases import DIMENSIONS, FACES, MODEL, WITHIN, ids, protected, search
from tests.contract.index_cases import face_of as seen
from tests.contract.redis_servers import CountedRedis, RedisServer, Relay
from tests.instants import NOW_MS

PLAN = FacePlan(
    window_ms=2 * DAY_MS, deadline_s=30, mirrored_from=20, distances={"turned": Distance.COSINE}, span_ms=DAY_MS
)
PORT = FACES
FEW = 25
BYTES = layout(DIMENSIONS).itemsize


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def on(
    redis_server: RedisServer, plan: FacePlan = PLAN, calls: RedisClient | None = None, clock: Clock | None = None
) -> RedisFaceIndex:
    return RedisFaceIndex(calls or redis_server.connect(), redis_server.prefix, plan, clock or Clock(), in_order=True)


def strangers(count: int, first: int = 1000, **changes: object) -> list[EnrolledReference]:
    return [seen(first + number, **changes) for number in range(count)]


async def look(index: RedisFaceIndex, reference: EnrolledReference, within: float = WITHIN) -> list[str]:
    return ids(await index.search(reference, within))


async def mirroring(redis_server: RedisServer, **how: object) -> tuple[RedisFaceIndex, CountedRedis]:
    """An index whose mirrors of what is enrolled are read, and the calls that it makes from now on."""
    calls = CountedRedis(redis_server.connect())
    index = on(redis_server, calls=calls, **how)
    for number in range(3):
        await look(index, seen(9000 + number))
    calls.trips.clear()
    return index, calls


def searched(calls: CountedRedis) -> list[bool]:
    """Of each round trip, whether Redis searched in it."""
    return [any(command[0] == "VSIM" for command in trip) for trip in calls.trips]


def codes_key(redis_server: RedisServer, reference: EnrolledReference) -> str:
    return FaceCommands(redis_server.prefix, PLAN).codes(PLAN.bucket(reference))


async def codes_of(redis_server: RedisServer, reference: EnrolledReference) -> list[int]:
    """Hashes of the faces that have codes in the reference's bucket."""
    packed = await redis_server.client.get(codes_key(redis_server, reference)) or b""
    return [int(name) for name in codes_from(packed, DIMENSIONS)["face"] if name]


async def test_redis_searches_for_no_stranger(redis_server):
    await on(redis_server).enrol([*strangers(FEW), *strangers(FEW, 2000, hours=25)])
    index, calls = await mirroring(redis_server)
    assert await look(index, seen(1, variation=0.0)) == []
    assert searched(calls) == [False]
    assert await look(index, seen(2, 2003)) == ["sub-2003"]
    assert searched(calls)[1:] == [False, True, False]
    (command,) = calls.trips[2]
    assert command[1] == FaceCommands(redis_server.prefix, PLAN).faces(PLAN.bucket(seen(1, hours=25)))


async def test_gallery_narrows_what_is_near(redis_server):
    """The threshold of a large gallery is looked for, not the farthest."""
    await on(redis_server).enrol(strangers(FEW))
    index, calls = await mirroring(redis_server)
    probe, galleries = seen(1, 1003, variation=0.4), list[int]()

    def narrowed(gallery: int) -> float:
        galleries.append(gallery)
        return 0.2

    assert (await index.search(probe, WITHIN, narrowed=narrowed)).candidates == ()
    assert searched(calls) == [False]
    assert set(galleries) == {FEW - 1}
    assert ids(await index.search(probe, WITHIN, narrowed=lambda gallery: 1.0)) == ["sub-1003"]


async def test_own_faces_are_nothing_near(redis_server):
    await on(redis_server).enrol([*strangers(FEW), seen(1, 7, correlation_id="me")])
    index, calls = await mirroring(redis_server)
    assert await look(index, seen(2, 7, correlation_id="me")) == []
    assert searched(calls) == [False]


async def test_others_enrol_meanwhile(redis_server):
    other = on(redis_server)
    await other.enrol(strangers(FEW))
    index, calls = await mirroring(redis_server)
    for number in range(1, 5):
        await other.enrol([seen(number, 7), *strangers(5, 3000 + 10 * number)])
        assert len(await look(index, seen(90 + number, 7))) == number
    assert await look(index, seen(99)) == []
    assert searched(calls)[-1] is False


async def by_version_before(redis_server: RedisServer, reference: EnrolledReference) -> None:
    """Enrolled by a worker that knows no codes."""
    commands = FaceCommands(redis_server.prefix, PLAN)
    adding = commands.add(reference, PLAN.bucket(reference))
    await redis_server.connect().execute([each for each in adding if each[1] != codes_key(redis_server, reference)])


async def test_version_before_enrols_meanwhile(redis_server):
    """While workers are restarted one by one, each finds what the others enrolled."""
    await on(redis_server).enrol(strangers(FEW))
    index, _ = await mirroring(redis_server)
    await by_version_before(redis_server, seen(1, 7))
    for number in range(2, 6):
        assert await look(index, seen(number, 7)) == ["sub-1"]


async def test_bucket_of_version_before(redis_server):
    for each in strangers(FEW):
        await by_version_before(redis_server, each)
    index, _ = await mirroring(redis_server)
    assert await look(index, seen(1, 1003)) == ["sub-1003"]
    assert index.mirrors.faces == 0, "given up: Redis searches, as before"
    await index.enrol(strangers(FEW, 3000))
    assert await look(index, seen(1, 3003)) == ["sub-3003"]


async def test_enrolled_again_with_another_face(redis_server):
    await on(redis_server).enrol(strangers(FEW))
    index, calls = await mirroring(redis_server)
    await on(redis_server).enrol([seen(1003, 7)])
    assert await look(index, seen(1, 7)) == ["sub-1003"]
    assert await look(index, seen(2, 1003)) == []
    assert searched(calls) == [False, True, False, False, True], "the code before stays, and Redis finds nothing"


@pytest.mark.parametrize("enrol", [False, True], ids=["looked", "enrolled"])
async def test_erased_face_is_out_of_memory(redis_server, enrol):
    """At the tenant's second search after the erasure; the mirror is read anew a minute later."""
    await on(redis_server).enrol([*strangers(FEW), seen(1, 7), seen(2, 7)])
    clock = Clock()
    index, calls = await mirroring(redis_server, clock=clock)
    assert index.mirrors.faces == FEW + 2
    assert await on(redis_server).forget("acme", "cid-1") == 1
    assert face_hash("cid-1", "sub-1") not in await codes_of(redis_server, seen(1))
    assert len(await codes_of(redis_server, seen(1))) == FEW + 1
    for number in range(2):
        found = await index.search(seen(5000 + number, 7), WITHIN, enrol=enrol)
        assert "sub-2" in ids(found)
    assert index.mirrors.faces == 0
    enrolled = 2 if enrol else 0
    clock.now += AGAIN_S
    for _ in range(3):
        assert len(await look(index, seen(9, 7))) == 1 + enrolled
    assert index.mirrors.faces == FEW + 1 + enrolled
    calls.trips.clear()
    assert await look(index, seen(9)) == []
    assert searched(calls) == [False]


async def test_idle_mirrors_are_given_up(redis_server):
    """Protected templates stay in no memory for long without a use."""
    await on(redis_server).enrol([*strangers(FEW), *strangers(3, tenant="other")])
    clock = Clock()
    index, _ = await mirroring(redis_server, clock=clock)
    clock.now += IDLE_S
    await look(index, seen(1, tenant="other"))
    assert index.mirrors.nbytes == 0


async def test_room_for_mirrors_is_bounded(redis_server):
    """A bucket without room is searched by Redis, and read when another has not been looked at for a while."""
    for tenant in ("one", "two"):
        await on(redis_server).enrol(strangers(FEW, tenant=tenant))
    clock = Clock()
    index = on(redis_server, replace(PLAN, mirror_bytes=FEW * BYTES * 3 // 2), clock=clock)

    async def look_often() -> int:
        for tenant in ("one", "two") * 3:
            assert await look(index, seen(1, 1003, tenant=tenant)) == ["sub-1003"]
        return index.mirrors.faces

    assert await look_often() == FEW
    clock.now += SPARE_S
    for _ in range(3):
        await look(index, seen(1, tenant="two"))
    assert (await look_often(), index.mirrors.nbytes <= FEW * BYTES * 3 // 2) == (FEW, True)
    await index.enrol(strangers(FEW, 2000, tenant="two"))
    await look_often()
    assert index.mirrors.nbytes <= FEW * BYTES * 3 // 2, "also when it grows"


async def test_searches_at_the_same_time_read_one_mirror(redis_server, monkeypatch):
    """A busy worker gets its mirrors, too."""
    monkeypatch.setattr(bucket_mirror, "PAGE", FEW // 3)
    await on(redis_server).enrol(strangers(FEW))
    index = on(redis_server)
    for start in range(0, 25, 5):
        await asyncio.gather(*(look(index, seen(9000 + start + number)) for number in range(5)))
    mirror = index.mirrors.of(PLAN.bucket(seen(1)))
    assert mirror is not None
    assert (mirror.whole, mirror.faces) == (True, FEW)


async def test_growth_beyond_the_room(redis_server):
    """A mirror that outgrew the room is not read again at each search, nor drives out the others."""
    await on(redis_server).enrol(strangers(FEW))
    index = on(redis_server, replace(PLAN, mirror_bytes=nbytes_of(FEW + 1, DIMENSIONS)))
    begun = []
    for number in range(8):
        await index.search(seen(3000 + number), WITHIN, enrol=True)
        begun.append(index.mirrors.nbytes > 0)
    assert begun == [True, *[False] * 7]


async def test_room_for_one_of_two(redis_server):
    for tenant in ("one", "two"):
        await on(redis_server).enrol(strangers(FEW, tenant=tenant))
    index = on(redis_server, replace(PLAN, mirror_bytes=nbytes_of(2 * FEW - 1, DIMENSIONS)))
    for tenant in ("one", "two", "one", "two", "one"):
        await look(index, seen(1, tenant=tenant))
    assert index.mirrors.of(PLAN.bucket(seen(1, tenant="one"))).whole
    assert index.mirrors.of(PLAN.bucket(seen(1, tenant="two"))) is None


#: What became of a bucket's codes: commands.
LOST: dict[str, Sequence[tuple[object, ...]]] = {
    "all": [("DEL", "KEY")],
    "the last": [("SETRANGE", "KEY", (FEW - 1) * BYTES, bytes(BYTES))],
    "begun anew": [("DEL", "KEY"), ("SETRANGE", "KEY", 0, b"\1" * BYTES * 2 * FEW)],
}


@pytest.mark.parametrize("what", LOST.values(), ids=LOST)
async def test_lost_codes(redis_server, what):
    """As after a failover to a replica that lagged: what is enrolled since is found."""
    await on(redis_server).enrol(strangers(FEW))
    index, _ = await mirroring(redis_server)
    key = codes_key(redis_server, seen(1))
    for name, _, *arguments in what:
        await redis_server.client.execute_command(name, key, *arguments)
    await on(redis_server).enrol([seen(1, 7)])
    for number in range(2, 6):
        assert await look(index, seen(number, 7)) == ["sub-1"]


class AnsweredLate(Relay):
    """Holds back the replies of the first call."""

    def __init__(self, calls: RedisClient) -> None:
        super().__init__(calls)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        replies, first = await super().execute(commands), not self.asked.is_set()
        self.asked.set()
        if first:
            await self.go_on.wait()
        return replies


async def test_replies_out_of_order(redis_server):
    """A look that is answered late knows fewer faces than the mirror by then."""
    await on(redis_server).enrol([*strangers(FEW), seen(1, 7)])
    index, _ = await mirroring(redis_server)
    index._calls = calls = AnsweredLate(index._calls)
    late = asyncio.create_task(look(index, seen(8, 7)))
    await calls.asked.wait()
    for number in range(2, 5):
        assert len(ids(await index.search(seen(number, 7), WITHIN, enrol=True))) == number - 1
    calls.go_on.set()
    assert "sub-1" in await late
    mirror = index.mirrors.of(PLAN.bucket(seen(1)))
    assert (mirror.whole, mirror.unmatched, mirror.faces) == (True, 0, FEW + 4)


@pytest.mark.parametrize("value", [b"x", bytes(24) + b"\xff" * 4 + bytes(DIMENSIONS)], ids=["length", "numbers"])
async def test_foreign_codes_are_named(redis_server, value):
    await on(redis_server).enrol(strangers(FEW))
    key = codes_key(redis_server, seen(1))
    await redis_server.client.append(key, value)
    index = on(redis_server)
    await look(index, seen(1))
    for call in (look(index, seen(1)), index.forget("acme", "cid-1003")):
        with pytest.raises(ForeignValue, match=re.escape(key)):
            await call


async def test_moved_face_leaves_no_code(redis_server):
    faces = strangers(4)
    index = on(redis_server)
    await index.enrol([*faces, *faces])
    async for bucket, reference in index.references("acme", NOW_MS):
        copied = replace(reference, template=replace(reference.template, key_id="k2"))
        assert await index.copy(bucket, copied)
        for _ in range(2):
            await index.drop(bucket, copied)
    assert await codes_of(redis_server, faces[0]) == []
    moved = replace(faces[0], template=replace(faces[0].template, key_id="k2"))
    assert len(await codes_of(redis_server, moved)) == 4


async def test_faces_moved_at_the_same_time(redis_server):
    """Re-keying moves a page of faces at once, of several buckets: no other face's code is touched."""
    moving = [*strangers(6), *strangers(6, 2000, hours=25)]
    staying = [*strangers(3, 4000), *strangers(3, 5000, hours=25)]
    index = on(redis_server)
    await index.enrol([each for pair in zip(moving, [*staying, *staying], strict=True) for each in pair])
    size = await redis_server.client.strlen(codes_key(redis_server, moving[0]))
    held = [held async for held in index.references("acme", NOW_MS) if held[1].name in {each.name for each in moving}]
    assert len(held) == len(moving)
    moved = [(bucket, replace(each, template=replace(each.template, key_id="k2"))) for bucket, each in held]
    await asyncio.gather(*(index.drop(*each) for each in moved))
    for of, kept in ((moving[0], staying[:3]), (moving[-1], staying[3:])):
        assert {*await codes_of(redis_server, of)} == {face_hash(*each.name) for each in kept}
    assert await redis_server.client.strlen(codes_key(redis_server, moving[0])) == size


@pytest.mark.parametrize("model", [MODEL, "turned"])
async def test_mirrors_overlook_nobody(real_redis, model):
    """More faces than a page, and what a comparison with all finds; twice: while mirrors are read, and with them."""
    chance = np.random.default_rng(3)
    many = PAGE + 1000
    gallery = (chance.standard_normal((many, DIMENSIONS)) * 0.15 + 0.1).astype("<f4")
    scales = 10.0 ** chance.uniform(-1, 1, many) if model == "turned" else np.ones(many)
    faces = [
        seen(n, template=protected(row * s, model=model))
        for n, (row, s) in enumerate(zip(gallery, scales, strict=True))
    ]
    index = on(real_redis)
    for start in range(0, many, 500):
        await index.enrol(faces[start : start + 500])
    within = 0.45 if model == MODEL else 0.1
    wanted = found = 0
    for number in range(150):
        off = chance.standard_normal(DIMENSIONS) * chance.uniform(0.02, 0.06)
        template = protected((gallery[chance.integers(many)] + off).astype("<f4"), model=model)
        probe = seen(50_000 + number, template=template, correlation_id="probe")
        apart = distances(template, [each.template for each in faces], PLAN.distance(model))
        near = {f"sub-{n}" for n, far in enumerate(apart) if far <= within}
        if len(near) <= 64:
            wanted += len(near)
            found += len(near & set(ids(await search(index, probe, within=within))))
    assert index.mirrors.faces > many
    assert wanted > 80
    assert found / wanted >= 0.99


def test_bucket_names_are_the_same() -> None:
    """Of this version and the one before: vector sets stand where they stood."""
    bucket = IndexBucket(
        tenant="t", model="m", key_id="k", dimensions=128, begin_ms=0, span_ms=DAY_MS, part=0, links=24
    )
    assert FaceCommands("p:", PLAN).faces(bucket) == "p:abuse:faces:{t|m|k|128|0|86400000|0|24}"
    assert FaceCommands("p:", PLAN).codes(bucket) == "p:abuse:face-codes:{t|m|k|128|0|86400000|0|24}"
