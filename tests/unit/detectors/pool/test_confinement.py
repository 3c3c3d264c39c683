"""Confinement of a slot: limits, signals, environment, output."""

from __future__ import annotations

import pytest

from tests.unit.detectors.pool.fakes import one, picture


async def test_limits_threads_and_secrets(make_pool, monkeypatch):
    """Secrets stay with the worker."""
    monkeypatch.setenv("LIVENESS_KAFKA_PASSWORD", "hunter2")
    pool = await make_pool(memory_mib=1024, environment={"OMP_NUM_THREADS": "1"})
    limits = (await one(pool, picture("limits"))).elapsed_ms
    del limits["slot_wait"]
    assert limits == {"core": 0, "address_space": (1024 << 20) % 86_400_000, "threads": 1}
    names = (await one(pool, picture("environment"))).notes
    assert "LIVENESS_KAFKA_PASSWORD" not in names
    assert {"OMP_NUM_THREADS", "PATH"} <= set(names)


@pytest.mark.parametrize("debug", [False, True])
async def test_native_noise_is_silenced(make_pool, monkeypatch, capfd, debug):
    monkeypatch.setenv("LIVENESS_SLOT_STDERR", "1" if debug else "0")
    pool = await make_pool()
    await one(pool, picture("loud"))
    captured = capfd.readouterr()
    assert ("native noise" in captured.out + captured.err) is debug
