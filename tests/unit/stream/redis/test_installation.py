"""The installation marker: a new installation gets one; where it is gone or another, no call is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import redis
from structlog.testing import capture_logs

from abuse.store_time import RedisTime, StillTime
from config.errors import Unavailable
from config.groups.services import RedisSettings
from stream.maintenance.rebuild_records import published_of
from stream.redis import installation
from stream.redis.client import connect
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.installation import InstallationWatch, mark_rebuilt
from stream.redis.marker import Marker, MarkerGuard, Origin, marker_keys
from stream.runtime import metrics
from tests.embedded_redis import flush
from tests.unit.stream.builders import APPENDED_AT_MS, OTHER_IMAGE, bare, base64_of
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.redis.scripted_redis import encoded, scripted

PREFIX = "installed:"
KEYS = marker_keys(PREFIX, cluster=False)
LONG_AGO_MS = 1000
MOMENT_S = 0.3


class Member:
    """A worker's client, guard and watch."""

    def __init__(self, url: str, *, new: bool = False, accept_loss: bool = False, cluster: bool = False) -> None:
        settings = RedisSettings(url=url, call_timeout_s=10, cluster=cluster)
        self.guard = MarkerGuard(marker_keys(PREFIX, cluster=cluster))
        self.calls, self.plain = connect(settings, guard=self.guard), connect(settings)
        self.asked, self.comparison = 0, None

        async def is_new() -> bool:
            self.asked += 1
            return new

        async def lacks(since_ms: int) -> bool:
            return self.comparison is not None and await self.comparison.is_older(since_ms)

        asked = (is_new, lacks)
        self.watch = InstallationWatch(self.guard, self.plain, RedisTime(self.plain), *asked, accept_loss=accept_loss)

    async def rebuilt(self) -> None:
        await mark_rebuilt(self.plain, self.guard.keys, await RedisTime(self.plain).now_ms())

    async def close(self) -> None:
        await self.calls.close()
        await self.watch.close()


@pytest.fixture
async def member(empty_redis: str):
    """Workers of one installation on an empty Redis."""
    async with AsyncExitStack() as opened:

        def make(url: str = empty_redis, **given: bool) -> Member:
            made = Member(url, **given)
            opened.push_async_callback(made.close)
            return made

        yield make


async def is_refused(call: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(Unavailable, match=r"redis: emptied.*liveness abuse rebuild.*ACCEPT_LOSS=true"):
        await call()


def get(of: Member) -> Callable[[], Awaitable[object]]:
    return lambda: of.calls.execute([("GET", "anything")])


async def test_new_installation_gets_one_marker(member):
    first, second = member(new=True), member(new=True)
    await asyncio.gather(first.watch.look(), second.watch.look())
    later = member()
    await later.watch.look()
    assert first.guard.known == second.guard.known == later.guard.known
    assert (later.asked, later.watch.troubles()) == (0, ())
    assert await later.calls.execute([("SET", "a", 1), ("GET", "a")]) == [b"OK", b"1"]


async def test_nothing_is_answered_before_the_marker_is_found(member):
    await is_refused(get(member()))


async def test_empty_redis_of_an_old_installation(member):
    """A worker that begins after the loss, and has seen no marker itself."""
    worker = member()
    with capture_logs() as logged:
        for _ in range(2):
            await is_refused(worker.watch.look)
    assert [event["event"] for event in logged] == ["redis_emptied"]
    assert (metrics.REDIS_EMPTIED._value.get(), len(worker.watch.troubles())) == (1, 1)
    await is_refused(get(worker))
    await worker.rebuilt()
    await worker.watch.look()
    assert (metrics.REDIS_EMPTIED._value.get(), worker.watch.troubles()) == (0, ())
    assert await get(worker)() == [None]


@pytest.mark.parametrize("new", [True, False])
async def test_loss_under_a_running_worker(member, empty_redis, new):
    """Also where nothing was decided yet, since the worker knows what it has seen."""
    await member(new=True).watch.look()
    worker = member(new=new)
    await worker.watch.look()
    flush(empty_redis)
    await is_refused(get(worker))
    await is_refused(lambda: worker.calls.execute([("SET", "written", 1)]))
    await is_refused(worker.watch.look)
    with redis.Redis.from_url(empty_redis) as client:
        assert client.keys() == [], "after the notice nothing is written either"


def marker(origin: str, at_ms: int, text: str = "f" * 32) -> str:
    return f"{origin}|{at_ms}|{text}"


FAR_MS = 10**14
FOUND = [
    *(("", False), ("something else", False), (marker("new", FAR_MS), False), (marker("rebuilt", LONG_AGO_MS), False)),
    *((marker("rebuilt", FAR_MS), True), (marker("accepted", FAR_MS), True), (marker("made", FAR_MS), False)),
]


@pytest.mark.parametrize(("held", "goes_on"), FOUND)
async def test_another_marker(member, empty_redis, held, goes_on):
    """The marker of another installation, or of an older copy; and one written since by a rebuild."""
    worker = member(new=True)
    await worker.watch.look()
    with redis.Redis.from_url(empty_redis) as client:
        client.set(KEYS[0], held)
    if goes_on:
        assert await get(worker)() == [None]
        await worker.watch.look()
    else:
        await is_refused(get(worker))
        await is_refused(worker.watch.look)


@pytest.mark.parametrize("held", [None, marker("new", FAR_MS), marker("accepted", LONG_AGO_MS), "something else"])
async def test_setting_accepts_the_loss(member, empty_redis, held):
    await member(new=True).watch.look()
    running, accepting = member(), member(accept_loss=True)
    for each in (running, accepting):
        await each.watch.look()
    flush(empty_redis)
    with redis.Redis.from_url(empty_redis) as client:
        if held is not None:
            client.set(KEYS[0], held)
    await is_refused(get(accepting))
    await accepting.watch.look()
    assert await get(accepting)() == [None]
    await running.watch.look()
    assert await get(running)() == [None], "and every other worker follows"
    other = member(accept_loss=True)
    await other.watch.look()
    assert other.guard.known == running.guard.known == accepting.guard.known
    assert accepting.guard.known.origin is Origin.ACCEPTED


async def test_background_task_misses_and_finds(member, empty_redis, monkeypatch):
    monkeypatch.setattr(installation, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(installation, "LOOK_AGAIN_S", 0.01)
    worker = member(new=True)
    await worker.watch.look()
    task = asyncio.create_task(worker.watch.run())
    flush(empty_redis)
    async with asyncio.timeout(10):
        while not worker.watch.troubles():  # noqa: ASYNC110  # the task tells nobody
            await asyncio.sleep(0.01)
        await worker.rebuilt()
        while worker.watch.troubles():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()


# The stages

STORED_MS = APPENDED_AT_MS + 3600_000


def line_of(worker: Member) -> Pipeline:
    return Pipeline(store=RedisDecisionStore(worker.calls, PREFIX, 48 * 3600, StillTime(STORED_MS)))


@pytest.mark.parametrize("image", [None, base64_of(OTHER_IMAGE)], ids=["duplicate", "other content"])
async def test_stage_waits_and_gives_identical_bytes(member, empty_redis, image):
    worker = member(new=True)
    await worker.watch.look()
    line = line_of(worker)
    changed = {} if image is None else {"image": image}
    first, again = await line.decision(bare()), bare(**changed)
    expected = await line.decision(again)
    assert (expected.value == first.value) is (image is None)
    flush(empty_redis)
    waiting = asyncio.create_task(line.decision(again))
    done, _ = await asyncio.wait({waiting}, timeout=MOMENT_S)
    assert not done, "nothing is decided on an empty Redis"
    assert line.patience.waiting_for == ("redis",)
    plain = RedisDecisionStore(worker.plain, PREFIX, 48 * 3600, StillTime(STORED_MS))
    assert await plain.restore([published_of(each.value or b"") for each in (expected, first)]) == 2
    await worker.rebuilt()
    await worker.watch.look()
    async with asyncio.timeout(10):
        assert (await waiting).value == expected.value
    assert (await line.decision(bare())).value == first.value


# A cluster

HALF = 8192


def node(held: set[bytes], text: bytes, table: Callable[[], bytes]) -> Callable[[list[bytes]], bytes]:
    """A node that has its markers for as long as the word is in `held`."""

    def answer(command: list[bytes]) -> bytes:
        if command[0] == b"CLUSTER":
            return table()
        if command[0] == b"TIME":
            return encoded([b"1", b"0"])
        if b"installation" in command[1]:
            return encoded(text if held else None)
        return encoded(b"told")

    return answer


async def test_one_node_of_a_cluster_is_emptied(member):
    text, lower, upper = marker("new", LONG_AGO_MS).encode(), {b"has"}, {b"has"}

    def table() -> bytes:
        halves = ((0, HALF - 1, low.port), (HALF, 16383, high.port))
        return encoded([[first, last, [b"127.0.0.1", port, b"id", []]] for first, last, port in halves])

    async with scripted(node(lower, text, table), node(upper, text, table)) as (low, high):
        worker = member(f"redis://127.0.0.1:{low.port}/0", cluster=True)
        await worker.watch.look()
        both = [("GET", "far"), ("GET", "near")]
        assert await worker.calls.execute(both) == [b"told", b"told"]
        trips = [[command[0] for command in each.commands[-3:]] for each in (low, high)]
        assert trips == [[b"GET", b"GET", b"ZRANGE"]] * 2, "the marker is asked for behind each node's commands"
        upper.clear()
        await is_refused(lambda: worker.calls.execute(both))
        await is_refused(worker.watch.look)
        upper.add(b"has")
        await worker.watch.look()
        assert await worker.calls.execute(both) == [b"told", b"told"]


def test_marker_is_read_as_written():
    made = Marker.made(Origin.REBUILT, LONG_AGO_MS)
    assert Marker.read(str(made).encode()) == made
