"""The client of a Redis Cluster on three real nodes: moving slots, a killed node, a replica taking over, refusals."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.crc import key_slot

from abuse.redis_port import Command, RedisClient
from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.runtime.patience import RetryPolicy
from tests.e2e.cluster import SETTLE_S, ClusterNode, RedisCluster
from tests.e2e.waiting import eventually
from tests.services.choice import Services

pytestmark = pytest.mark.local_services

KEEP_S = 300
TIMEOUT_S = 5.0
WRITERS = 8


@asynccontextmanager
async def client(url: str, *, cluster: bool = True, call_timeout_s: float = TIMEOUT_S) -> AsyncIterator[RedisClient]:
    calls = connect(RedisSettings(url=url, call_timeout_s=call_timeout_s, cluster=cluster))
    try:
        yield calls
    finally:
        await calls.close()


@pytest.fixture
async def calls(redis_cluster: RedisCluster) -> AsyncIterator[RedisClient]:
    async with client(redis_cluster.url) as made:
        yield made


def tagged(count: int) -> list[str]:
    """Keys of one slot that no other test uses."""
    tag = uuid.uuid4().hex
    return [f"moving:{{{tag}}}:{number}" for number in range(count)]


def spread(count: int) -> list[str]:
    return [f"spread:{uuid.uuid4().hex}" for _ in range(count)]


def stores(keys: list[str]) -> list[Command]:
    return [("SET", key, f"value {key}", "EX", KEEP_S) for key in keys]


def reads(keys: list[str]) -> list[Command]:
    return [("GET", key) for key in keys]


def values(keys: list[str]) -> list[bytes]:
    return [f"value {key}".encode() for key in keys]


def another(cluster: RedisCluster, than: ClusterNode) -> ClusterNode:
    return next(node for node in cluster.nodes if node is not than)


def commands_of(node: ClusterNode) -> dict[str, int]:
    """How often each kind of command was carried out by a node."""
    lines = node.ask("INFO", "commandstats").decode().splitlines()
    stats = dict(line.removeprefix("cmdstat_").split(":", 1) for line in lines if line.startswith("cmdstat_"))
    return {name: int(figures.split("calls=")[1].split(",")[0]) for name, figures in stats.items()}


def redirections_by(node: ClusterNode, kind: str = "MOVED") -> int:
    lines = node.ask("INFO", "errorstats").decode().splitlines()
    return sum(int(line.split("count=")[1]) for line in lines if line.startswith(f"errorstat_{kind}"))


async def test_moved_slot_is_followed(redis_cluster, calls):
    moving, still = tagged(3), spread(20)
    await calls.execute(stores([*moving, *still]))
    old = redis_cluster.owner_of(moving[0])
    new = another(redis_cluster, old)
    redis_cluster.move(new, *moving)
    both = [moving[0], *still, *moving[1:]]
    assert await calls.execute(reads(both)) == values(both)
    assert await calls.execute(stores(moving)) == [b"OK"] * 3

    redis_cluster.move(old, *moving)
    assert await calls.execute(reads(both)) == values(both)


async def test_redirection_is_remembered(redis_cluster, calls):
    """After a redirection the new owner is asked at once."""
    moving = tagged(2)
    old = redis_cluster.owner_of(moving[0])
    new = another(redis_cluster, old)
    await calls.execute(reads(moving))
    redis_cluster.begin_move(moving[0], new)
    redis_cluster.end_move(moving[0], new)
    await calls.execute(reads(moving))  # told so
    before = redirections_by(old)
    assert before > 0
    for _ in range(5):
        await calls.execute(reads(moving))
    assert redirections_by(old) == before


async def test_moving_slot_key_by_key(redis_cluster, calls):
    """Some keys are still at the old owner, some already at the new, some don't exist: one batch finds all."""
    moving, still = tagged(6), spread(10)
    here, there, nowhere = moving[:2], moving[2:4], moving[4:]
    await calls.execute(stores([*here, *there, *still]))
    new = another(redis_cluster, redis_cluster.owner_of(moving[0]))
    old = redis_cluster.begin_move(moving[0], new)
    redis_cluster.move_keys(old, new, *there)

    mixed = [here[0], there[0], still[0], nowhere[0], there[1], here[1], *still[1:]]
    found = await calls.execute(reads(mixed))
    assert found == [None if key in nowhere else f"value {key}".encode() for key in mixed]
    # A key that is new goes to the new owner, commands on it in their order.
    batch = [("SET", nowhere[0], "1"), ("INCR", nowhere[0]), ("GET", nowhere[0]), ("EXPIRE", nowhere[0], KEEP_S)]
    assert await calls.execute(batch) == [b"OK", 2, b"2", 1]
    assert nowhere[0].encode() in new.ask("CLUSTER", "GETKEYSINSLOT", key_slot(nowhere[0].encode()), 1000)

    redis_cluster.end_move(moving[0], new)
    everything = [*here, *there, *still]
    assert await calls.execute(reads(everything)) == values(everything)


async def test_first_writer_wins_while_moving(redis_cluster, calls):
    """Many writers and a reader on one key while the slot moves to and fro: one answer for all, ever."""
    (key,) = tagged(1)
    old = redis_cluster.owner_of(key)
    new = another(redis_cluster, old)
    seen: set[object] = set()
    answered = 0
    redirected = redirections_by(old, "ASK"), redirections_by(old, "MOVED")

    async def writer(number: int) -> None:
        nonlocal answered
        ours = b"%d" % number
        offer: list[Command] = [("SET", key, ours, "NX", "GET", "EX", KEEP_S)]
        while not done.is_set():
            (held,) = await RetryPolicy().until_available(lambda: calls.execute(offer), at_most_s=SETTLE_S)
            seen.add(ours if held is None else held)
            answered += 1

    async def more_answers() -> None:
        enough = answered + 3 * WRITERS
        await eventually(lambda: answered >= enough, "the writers go on")

    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(writer(number))
        for source, target in ((old, new), (new, old), (old, new), (new, old)):
            await asyncio.to_thread(redis_cluster.begin_move, key, target)
            await more_answers()
            await asyncio.to_thread(redis_cluster.move_keys, source, target, key)
            await more_answers()
            await asyncio.to_thread(redis_cluster.end_move, key, target)
            await more_answers()
        done.set()
    assert len(seen) == 1
    assert redirections_by(old, "ASK") > redirected[0]
    assert redirections_by(old, "MOVED") > redirected[1]


async def test_killed_node_comes_back(redis_cluster, calls):
    """Calls fail within their deadline while the node is away, and succeed when it is back."""
    keys = spread(30)
    await calls.execute(stores(keys))
    killed = redis_cluster.nodes[1]
    lost = next(key for key in keys if redis_cluster.owner_of(key) is killed)
    killed.kill()

    loop = asyncio.get_running_loop()
    for batch in (reads([lost]), reads(keys)):
        started = loop.time()
        with pytest.raises(Unavailable) as away:
            await calls.execute(batch)
        assert away.value.dependency == "redis"
        assert loop.time() - started < TIMEOUT_S + 10

    # Once its absence is agreed upon, the others refuse theirs too.
    other = redis_cluster.nodes[0]
    kept = [key for key in keys if redis_cluster.owner_of(key) is other]
    await eventually(lambda: b"cluster_state:fail" in other.ask("CLUSTER", "INFO"), "the cluster is down")
    with pytest.raises(Unavailable, match="CLUSTERDOWN"):
        await calls.execute(reads(kept))

    redis_cluster.wait_until_sound()
    stored = await RetryPolicy().until_available(lambda: calls.execute(stores(keys)), at_most_s=SETTLE_S)
    assert stored == [b"OK"] * 30
    assert await calls.execute(reads(keys)) == values(keys)


async def test_named_node_may_be_gone(redis_cluster, calls):
    """Once the others are known it is not needed: what they hold is answered, until they give the cluster up."""
    keys = spread(30)
    await calls.execute(stores(keys))
    named = redis_cluster.nodes[0]
    kept = [key for key in keys if redis_cluster.owner_of(key) is not named]
    named.kill()
    with pytest.raises(Unavailable):
        await calls.execute(reads(keys))
    assert await calls.execute(reads(kept)) == values(kept)


async def test_absence_floods_no_node(redis_cluster, calls):
    """While a node is away, 200 calls at once ask the others for the slots about twice a second."""
    keys = spread(30)
    await calls.execute(stores(keys))
    redis_cluster.nodes[1].kill()
    standing = [redis_cluster.nodes[0], redis_cluster.nodes[2]]
    before = sum(commands_of(node).get("cluster|slots", 0) for node in standing)
    loop = asyncio.get_running_loop()
    started = loop.time()
    answers = await asyncio.gather(*(calls.execute(reads(keys)) for _ in range(200)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    asked = sum(commands_of(node).get("cluster|slots", 0) for node in standing) - before
    assert asked <= 2 + 2 * (loop.time() - started)


async def test_a_replica_takes_over(tmp_path):
    """The failover a real installation has: the master is killed, its replica is voted in, calls go on."""
    cluster = RedisCluster(tmp_path)
    try:
        cluster.form()
        master = cluster.nodes[1]
        replica = cluster.add_replica(of=master)
        async with client(cluster.url) as calls:
            keys = [key for key in spread(60) if cluster.owner_of(key) is master]
            assert await calls.execute(stores(keys)) == [b"OK"] * len(keys)
            assert master.ask("WAIT", 1, 10_000) == 1
            master.kill()
            found = await RetryPolicy().until_available(lambda: calls.execute(reads(keys)), at_most_s=SETTLE_S)
            assert found == values(keys)
            assert cluster.owner_of(keys[0]) is replica
    finally:
        cluster.close()


async def test_every_node_gets_credentials(redis_cluster):
    user, keys = f"u{uuid.uuid4().hex}", spread(30)
    rights = ("~spread:*", "+get", "+set", "+cluster|slots", "+asking", "+client|setname")
    for node in redis_cluster.nodes:
        node.ask("ACL", "SETUSER", user, "on", ">right", *rights)
    place = redis_cluster.url.removeprefix("redis://")
    try:
        async with client(f"redis://{user}:right@{place}") as calls:
            assert await calls.execute(stores(keys)) == [b"OK"] * 30
            with pytest.raises(SettingsError, match=r"^redis\.url: Redis refuses this client \(NOPERM: .* DEL\)"):
                await calls.execute([("DEL", keys[0])])
        for wrong in (f"redis://{user}:wrong@{place}", f"redis://:wrong@{place}"):
            async with client(wrong) as calls:
                for _ in range(2):
                    with pytest.raises(SettingsError, match=r"^redis\.url: Redis refuses this client") as refused:
                        await calls.execute(reads(keys))
                    assert "wrong" not in str(refused.value)
    finally:
        for node in redis_cluster.nodes:
            node.ask("ACL", "DELUSER", user)


async def ping(url: str, *, cluster: bool) -> None:
    """The check of Redis at a worker's start."""
    async with client(url, cluster=cluster) as calls:
        await RedisDecisionStore(calls, f"start-{uuid.uuid4().hex}:", KEEP_S).ping()


async def test_start_at_every_node(redis_cluster):
    """Each node may be named; without the setting each refuses the start and names it."""
    for node in redis_cluster.nodes:
        url = f"redis://127.0.0.1:{node.port}/0"
        await ping(url, cluster=True)
        with pytest.raises(SettingsError, match=r"^redis\.cluster: .* LIVENESS_REDIS__CLUSTER=true$"):
            await ping(url, cluster=False)


@pytest.mark.real
async def test_plain_server_refuses_the_setting(services: Services):
    with pytest.raises(SettingsError, match=r"^redis\.cluster: .* LIVENESS_REDIS__CLUSTER=false$"):
        await ping(services.environment["LIVENESS_REDIS__URL"], cluster=True)
