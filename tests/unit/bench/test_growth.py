"""Smoke tests of the measurements that fill a Redis (`tests/bench`): figures that can be, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import typer
from redis import Redis
from typer.testing import CliRunner

from tests.bench import abuse_table, growth, reuse_indexes

BYTES_EACH = 1000


@pytest.fixture
def server(empty_redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Embedded store as the configured Redis, with invented memory figures, and small counts."""
    asked: list[object] = []

    async def used(calls: object) -> int:
        asked.append(calls)
        return 0 if len(asked) % 2 else 20 * BYTES_EACH

    monkeypatch.setattr(growth, "used_memory", used)
    for name, count in (("PICTURES", 20), ("MET_FACES", 6), ("MET_PICTURES", 6)):
        monkeypatch.setattr(reuse_indexes, name, count)
    for name, value in (("REDIS__URL", empty_redis), ("REDIS__CALL_TIMEOUT_S", "20"), ("ABUSE__FACE_SPAN_H", "24")):
        monkeypatch.setenv(f"LIVENESS_{name}", value)
    yield
    with Redis.from_url(empty_redis) as client:
        assert client.keys() == []


def run(measurement: Any, *words: str) -> dict[str, Any]:
    app = typer.Typer()
    app.command()(measurement.main)
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout_bytes)


def test_abuse_table(server: None) -> None:
    small = ("--ids", "20,40", "--seconds", "0.3", "--rounds", "1")
    results = run(abuse_table, *small)["results"]
    assert [each["ids"] for each in results] == [20, 40]
    for each in results:
        assert each["cost"] == pytest.approx(each["floor_per_s"] / each["observed_per_s"])
        assert 0 < each["observe_p50_ms"] <= each["observe_p99_ms"]
    assert results[0]["bytes_per_id"] == BYTES_EACH


def test_reuse_indexes(server: None) -> None:
    document = run(reuse_indexes, "--kept", "20,40")
    assert document["span_h"] == 24
    assert [(each["faces"], each["by_redis"]["recall"]) for each in document["faces"]] == [(20, 1.0), (40, 1.0)]
    for each in document["faces"]:
        for figures, kind in ((each, "add"), (each["by_redis"], "meet"), (each["by_redis"], "busy")):
            assert 0 < figures[f"{kind}_p50_ms"] <= figures[f"{kind}_p99_ms"]
    assert document["faces"][0]["bytes_per_face"] == BYTES_EACH
    assert [(each["pictures"], each["found"]) for each in document["pictures"]] == [(20, 1.0)]
