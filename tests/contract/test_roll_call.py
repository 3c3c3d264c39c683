"""Contract of the roll call: on the embedded Redis, a real server, a real cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from abuse.redis_port import ForeignValue
from abuse.store_time import StillTime
from config.errors import SettingsError
from stream.redis.roll_call import LIFE_MS, RedisRollCall
from stream.runtime import metrics
from stream.runtime.fleet import Badge, KeyMark
from stream.runtime.fleet_watch import FleetWatch
from stream.runtime.patience import RetryPolicy
from tests.contract.redis_servers import RedisServer
from tests.instants import NOW_MS

ONE = Badge(
    name="one",
    began_ms=0,
    roles=("decide", "detect"),
    key_prefix="a:",
    topic_prefix="",
    hash_keys=(KeyMark(since_ms=0, id="k1", check="12"),),
    policy="default 1",
    rules="2",
    release="3",
)
COMMANDING = replace(
    ONE,
    name="two",
    roles=("command",),
    hash_keys=None,
    signatures="off",
    record_keys=ONE.hash_keys,
    unsigned_until_ms=7,
    session_keys=(KeyMark(since_ms=0, id="2026-11", check="34"),),
)
APART = replace(ONE, name="apart", key_prefix="b:")


class Fleet:
    """Workers of one group, each with a client of its own, at a time that the test sets."""

    def __init__(self, server: RedisServer) -> None:
        self._server, self.time = server, StillTime(NOW_MS)
        self.roll = self.call()

    def call(self) -> RedisRollCall:
        return RedisRollCall(self._server.connect(), self._server.prefix.rstrip(":"), self.time)

    def watch(self, ours: Badge) -> FleetWatch:
        return FleetWatch(self.call(), ours, self.time, RetryPolicy())

    async def names(self) -> set[str]:
        return {each.name for each in await self.roll.living()}


@pytest.fixture
def fleet(redis_server: RedisServer) -> Fleet:
    return Fleet(redis_server)


async def test_badges_are_kept_as_left(fleet, redis_server):
    await fleet.roll.sign(ONE)
    assert sorted(await fleet.call().sign(COMMANDING), key=lambda each: each.name) == [ONE, COMMANDING]
    (key,) = await redis_server.keys()
    assert key == redis_server.key("fleet")
    assert await redis_server.client.pttl(key) <= LIFE_MS


async def test_the_dead_age_out(fleet, redis_server):
    await fleet.roll.sign(ONE)
    fleet.time.at_ms += LIFE_MS - 1
    assert len(await fleet.call().sign(COMMANDING)) == 2
    fleet.time.at_ms += 1
    assert await fleet.names() == {"two"}
    await fleet.call().sign(COMMANDING)
    assert await redis_server.client.hkeys(redis_server.key("fleet")) == [b"two"]


async def test_later_worker_is_refused(fleet):
    """The refused one leaves nothing behind that could refuse others, and the one that was there stays."""
    first = fleet.watch(ONE)
    await first.check()
    fleet.time.at_ms += 1
    with pytest.raises(SettingsError, match=r"redis\.key_prefix is b: here, and a: on one"):
        await fleet.watch(APART).check()
    assert await fleet.names() == {"one"}
    await fleet.watch(replace(ONE, name="one again")).check()  # as after a crash: its own values
    await first.leave()
    await fleet.roll.leave("one again")
    await fleet.watch(APART).check()


async def test_of_two_at_once_one_stays(fleet):
    for ours in (ONE, APART):
        await fleet.roll.sign(replace(ours, began_ms=NOW_MS))  # each before either looked
    refused = []
    for ours in (ONE, APART):
        try:
            await fleet.watch(ours).check()
        except SettingsError:
            refused.append(ours.name)
    assert refused == ["one"]


async def test_difference_is_said_once(fleet):
    watch, other = fleet.watch(ONE), fleet.watch(replace(ONE, name="two", policy="strict 9"))
    with capture_logs() as logged:
        for step, differing in (
            (watch.check, 0),
            (other.check, 1),
            (watch.look, 1),
            (watch.look, 1),
            (other.leave, 1),
            (watch.look, 0),
        ):
            await step()
            assert metrics.FLEET_DIFFERS.labels(what="policy")._value.get() == differing
    assert [entry["event"] for entry in logged] == ["fleet_differs", "fleet_differs", "fleet_agrees"]
    assert logged[0]["policy"] == "default 1 on one; strict 9 on two"


async def test_apart_while_running(fleet):
    """A worker that began while the store was away from the others, or was emptied."""
    watch = fleet.watch(ONE)
    await watch.check()
    await fleet.roll.sign(replace(APART, began_ms=NOW_MS + 1))
    with capture_logs() as logged:
        await watch.look()
    assert [(entry["event"], entry["log_level"]) for entry in logged] == [("fleet_apart", "error")]


@pytest.mark.parametrize("value", [b"{}", b"[", b"\xff", b'{"seen_ms": 99999999999999}'])
async def test_foreign_badge_is_named(fleet, redis_server, value):
    await redis_server.client.hset(redis_server.key("fleet"), "x", value)
    with pytest.raises(ForeignValue, match="fleet"):
        await fleet.roll.living()
