"""Contract of the store of large clusters: in memory, on the embedded Redis, a real server, a real cluster.

A member leads to its cluster; joining twice, late or in another order gives the same size; a forgotten lead ends the
cluster, and a forgotten correlation id is named nowhere; everything expires.
"""

from __future__ import annotations

import random

import pytest

from abuse.event_time import DAY_MS
from abuse.flags.flags import FlagKind
from abuse.links.large_clusters import FoundedCluster, InMemoryLargeClusters, Member, Shown
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.redis_port import ForeignValue
from abuse.submission_ref import SubmissionRef
from config.errors import Unavailable
from tests.contract.redis_servers import FaultyRedis, PortKind

TTL_MS = 8 * DAY_MS
TENANT = "acme"
NOW_MS = 1_800_000_000_000
FACE = Shown(kind=FlagKind.FACE_REUSE, spoof=False)
PICTURE = Shown(kind=FlagKind.MEDIA_REPLAY, spoof=False)
ATTACKS = Shown(kind=FlagKind.FACE_REUSE, spoof=True)

PORT = PortKind(
    in_memory=InMemoryLargeClusters, on_redis=lambda calls, prefix: RedisLargeClusters(calls, prefix, TTL_MS)
)


def ref(name: str, number: int = 0, session: str | None = None) -> SubmissionRef:
    return SubmissionRef(
        at_ms=NOW_MS + number, submission_id=f"{name}-{number}", correlation_id=name, session_id=session or f"s{number}"
    )


FOUNDERS = [ref(f"id-{number}", number) for number in range(30)]


def made(shown: Shown = FACE) -> FoundedCluster:
    return FoundedCluster(shown=shown, lead=FOUNDERS[0], refs=tuple(FOUNDERS))


NAME = made().name


async def test_member_leads_to_its_cluster(held):
    await held.store.create(TENANT, made())
    asked = [(FACE, FOUNDERS[7]), (FACE, ref("stranger")), (PICTURE, FOUNDERS[7]), (ATTACKS, FOUNDERS[7])]
    member = Member(ref=FOUNDERS[7], name=NAME, lead=FOUNDERS[0])
    assert await held.other_worker.members(TENANT, asked) == [member, None, None, None]
    assert await held.store.members("another", asked) == [None] * 4
    assert await held.store.members(TENANT, []) == []


async def test_other_submission_of_a_member_is_none(held):
    """An id that shows two faces is a member with one of them."""
    await held.store.create(TENANT, made())
    assert await held.store.members(TENANT, [(FACE, ref("id-7", 8))]) == [None]


async def test_newcomer_is_counted_once(held):
    await held.store.create(TENANT, made())
    for number in range(3):
        assert await held.store.join(TENANT, ref("new", number), {FACE: NAME}) == {FACE: 31}
    assert await held.other_worker.join(TENANT, ref("newer"), {FACE: NAME}) == {FACE: 32}
    (member,) = await held.store.members(TENANT, [(FACE, ref("newer"))])
    assert member == Member(ref=ref("newer"), name=NAME, lead=FOUNDERS[0])
    assert await held.store.join(TENANT, ref("newer"), {}) == {}


async def test_sessions_count_for_pictures_only(held):
    names = {FACE: NAME, PICTURE: made(PICTURE).name}
    for shown in names:
        await held.store.create(TENANT, made(shown))
    for session in ("a", "b"):
        sizes = await held.store.join(TENANT, ref("id-3", 99, session), names)
    assert sizes == {FACE: 30, PICTURE: 32}


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_gives_the_same(held, seed):
    chance, store = random.Random(seed), held.fresh().store
    calls = [*FOUNDERS, *FOUNDERS, *(ref(f"new-{number}") for number in range(5))]
    chance.shuffle(calls)
    for each in calls:
        await store.join(TENANT, each, {FACE: NAME})
    await store.create(TENANT, made())
    assert await store.join(TENANT, FOUNDERS[3], {FACE: NAME}) == {FACE: 35}


async def test_forgotten_lead_ends_the_cluster(held):
    await held.store.create(TENANT, made())
    await held.store.forget(TENANT, "id-0")
    await held.store.forget(TENANT, "id-0")
    assert await held.other_worker.members(TENANT, [(FACE, each) for each in FOUNDERS]) == [None] * len(FOUNDERS)


async def test_forgotten_member_leads_nowhere(held):
    await held.store.create(TENANT, made())
    await held.store.forget(TENANT, "id-7")
    known = await held.store.members(TENANT, [(FACE, FOUNDERS[7]), (FACE, FOUNDERS[8])])
    assert [each is not None for each in known] == [False, True]


async def test_hints_of_one_id_are_bounded(on_redis):
    await on_redis.store.create(TENANT, made())
    for number in range(100):
        await on_redis.store.join(TENANT, ref("busy", number), {FACE: NAME})
    key = f"{on_redis.redis.prefix}abuse:clusters-of:{{acme|busy}}"
    assert await on_redis.redis.client.hlen(key) <= 16


async def test_everything_expires_and_names_no_erased_id(on_redis):
    await on_redis.store.create(TENANT, made())
    await on_redis.store.join(TENANT, ref("new"), {FACE: NAME})
    keys = await on_redis.redis.keys()
    assert {key.removeprefix(on_redis.redis.prefix).partition(":{")[0] for key in keys} == {
        "abuse:cluster",
        "abuse:cluster-lead",
        "abuse:clusters-of",
    }
    assert all([await on_redis.redis.expires_ms(key) > 0 for key in keys])
    await on_redis.store.forget(TENANT, "id-0")
    left = [key for key in await on_redis.redis.keys() if not key.endswith("|id-0}")]
    assert not any("cluster-lead" in key for key in left)


async def test_growth_lengthens_no_life(on_redis):
    """A cluster that still grows when its time is over is read and made again."""
    await on_redis.store.create(TENANT, made())
    counted = f"{on_redis.redis.prefix}abuse:cluster:{{acme|{NAME}}}"
    await on_redis.redis.client.pexpire(counted, 60_000)
    before = await on_redis.redis.expires_ms(counted)
    await on_redis.store.join(TENANT, ref("new"), {FACE: NAME})
    assert await on_redis.redis.expires_ms(counted) == before


@pytest.mark.parametrize(
    ("key", "value"), [(f"cluster-lead:{{acme|{NAME}}}", "[1]"), ("clusters-of:{acme|id-7}", "one-word")]
)
async def test_foreign_values_are_named(on_redis, key, value):
    await on_redis.store.create(TENANT, made())
    key, client = f"{on_redis.redis.prefix}abuse:{key}", on_redis.redis.client
    if "lead" in key:
        await client.set(key, value)
    else:
        await client.hset(key, FACE.hint(FOUNDERS[7]), value)
    with pytest.raises(ForeignValue, match="cluster"):
        await on_redis.store.members(TENANT, [(FACE, FOUNDERS[7])])


async def test_erasure_can_be_repeated(redis_server):
    """The way to what an id leads is removed last."""
    calls = FaultyRedis(redis_server.connect(), lambda command: command[0] == "DEL" and "lead" in str(command[1]))
    store = RedisLargeClusters(calls, redis_server.prefix, TTL_MS)
    await store.create(TENANT, made())
    with pytest.raises(Unavailable):
        await store.forget(TENANT, "id-0")
    await store.forget(TENANT, "id-0")
    assert await store.members(TENANT, [(FACE, FOUNDERS[1])]) == [None]


async def test_lead_met_before_counts_no_more_once_forgotten(held):
    """A worker remembers whom it met; the store alone says who leads."""
    await held.store.create(TENANT, made())
    for _ in range(2):
        assert await held.store.members(TENANT, [(FACE, FOUNDERS[7])]) != [None]
    assert set(held.store.leads_met(TENANT)) == {FOUNDERS[0].correlation_id}
    assert not held.store.leads_met("another")
    await held.other_worker.forget(TENANT, FOUNDERS[0].correlation_id)
    assert await held.store.members(TENANT, [(FACE, FOUNDERS[7])]) == [None]
