"""`liveness bench --abuse`: sizes, and what it leaves behind on the server: nothing."""

from __future__ import annotations

import asyncio

import pytest
import typer

from config.errors import SettingsError
from config.settings import RedisSettings, Settings
from stream.bench import abuse_table
from stream.bench.abuse_table import TablePlan, measure
from stream.cli import bench_abuse
from stream.cli.sizes import sizes
from stream.redis.client import connect


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10", [10]), ("30,10, 20", [10, 20, 30]), ("1_000", [1000]), ("10,10", [10, 10]), (" 5 ", [5])],
)
def test_sizes_are_numbers_in_order(text, expected):
    assert sizes(text, "--ids") == expected


@pytest.mark.parametrize("text", ["", ",", "0", "10,", "-1", "1.5", "1e3", "ten", "\u0661", "\u00b2", "_"])
def test_what_is_no_size_is_wrong_use(text):
    with pytest.raises(typer.BadParameter):
        sizes(text, "--ids")


def test_a_cluster_is_not_measured(monkeypatch):
    monkeypatch.setenv("LIVENESS_REDIS__CLUSTER", "true")
    with pytest.raises(SettingsError, match="one server"):
        bench_abuse.run("10", 1.0, 1, json=True)


def small(url: str) -> Settings:
    return Settings(redis=RedisSettings(url=url, call_timeout_s=20))


async def left(url: str) -> list[object]:
    calls = connect(RedisSettings(url=url, call_timeout_s=20))
    try:
        return await calls.execute([("SCAN", b"0", "MATCH", "*", "COUNT", 10_000)])
    finally:
        await calls.close()


def test_a_small_table_is_measured_and_its_keys_are_removed(empty_redis):
    said: list[str] = []
    results = measure(small(empty_redis), TablePlan(sizes=[20, 40], rounds=1, seconds=0.5), said.append)
    assert [result.ids for result in results] == [20, 40]
    for result in results:
        assert result.observed_per_s > 0 < result.floor_per_s
        assert result.cost == pytest.approx(result.floor_per_s / result.observed_per_s)
        assert 0 < result.p50_ms <= result.p99_ms
    assert asyncio.run(left(empty_redis)) == [[b"0", []]]
    assert said[-1].startswith("Removing")


def test_keys_are_removed_when_it_fails_too(empty_redis, monkeypatch):
    async def broken(self: object) -> None:
        raise RuntimeError("on the way")

    monkeypatch.setattr(abuse_table._Bench, "_observe", broken)
    with pytest.raises(RuntimeError, match="on the way"):
        measure(small(empty_redis), TablePlan(sizes=[20], rounds=1, seconds=0.2), lambda _: None)
    assert asyncio.run(left(empty_redis)) == [[b"0", []]]


async def test_memory_is_told_and_other_keys_stay(empty_redis):
    calls = connect(RedisSettings(url=empty_redis, call_timeout_s=20))
    neighbour = "bench-neighbour:"
    try:
        await calls.execute([("SET", neighbour, b"1")])
        plan = TablePlan(sizes=[200], rounds=1, seconds=0.5)
        (result,) = await asyncio.to_thread(measure, small(empty_redis), plan, lambda _: None)
        assert result.ids == 200
        assert 100 < result.bytes_per_id < 10_000
        assert await calls.execute([("GET", neighbour)]) == [b"1"]
    finally:
        await calls.close()
