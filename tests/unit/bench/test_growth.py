"""Smoke tests of the measurements that fill a Redis (`tests/bench`): figures that can be, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import orjson
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect
from tests.bench import abuse_table, face_index, media_index, reuse_indexes
from tests.bench.growth import one_server

BYTES_EACH = 1000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedStore]:
    """Embedded store as the configured Redis, with invented memory figures, and small counts."""
    asked: list[object] = []

    async def used(calls: object) -> int:
        asked.append(calls)
        return 0 if len(asked) % 2 else 20 * BYTES_EACH

    for module in (abuse_table, face_index, media_index):
        monkeypatch.setattr(module, "used_memory", used)
    for name, count in (("PICTURES", 20), ("MET_FACES", 6), ("MET_PICTURES", 6)):
        monkeypatch.setattr(reuse_indexes, name, count)
    store = EmbeddedStore()
    monkeypatch.setenv("LIVENESS_REDIS__URL", store.url)
    monkeypatch.setenv("LIVENESS_REDIS__CALL_TIMEOUT_S", "20")
    monkeypatch.setenv("LIVENESS_ABUSE__FACE_SPAN_H", "24")
    yield store
    assert asyncio.run(left()) == [[b"0", []]]
    store.close()


async def left() -> list[object]:
    calls = connect(one_server().redis)
    try:
        return await calls.execute([("SCAN", b"0", "MATCH", "*", "COUNT", 10_000)])
    finally:
        await calls.close()


def run(measurement: object, *words: str) -> Result:
    app = typer.Typer()
    app.command()(measurement.main)  # type: ignore[attr-defined]
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return result


def test_abuse_table(server: EmbeddedStore) -> None:
    small = ("--ids", "20,40", "--seconds", "0.3", "--rounds", "1")
    results = orjson.loads(run(abuse_table, *small, "--json").stdout_bytes)["results"]
    assert [each["ids"] for each in results] == [20, 40]
    for each in results:
        assert each["cost"] == pytest.approx(each["floor_per_s"] / each["observed_per_s"])
        assert 0 < each["p50_ms"] <= each["p99_ms"]
    assert results[0]["bytes_per_id"] == BYTES_EACH


def test_reuse_indexes(server: EmbeddedStore) -> None:
    document = orjson.loads(run(reuse_indexes, "--kept", "20,40", "--json").stdout_bytes)
    assert (document["span_h"], document["template"]) == (24, None)
    assert [(each["faces"], each["recall"]) for each in document["faces"]] == [(20, 1.0), (40, 1.0)]
    for each in document["faces"]:
        for kind in ("add", "meet", "busy"):
            assert 0 < each[f"{kind}_p50_ms"] <= each[f"{kind}_p99_ms"]
    assert document["faces"][0]["bytes_per_face"] == BYTES_EACH
    assert [(each["pictures"], each["found"]) for each in document["pictures"]] == [(20, 1.0)]
