"""Waiting for a dependency: as long as it takes or as long as allowed, said once a period, shown while it lasts."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from config.errors import Unavailable
from stream.runtime import metrics
from stream.runtime.patience import LONGEST_PAUSE_S, SAY_EVERY_S, DependencyTimeout, RetryPolicy
from tests.unit.stream.runtime.virtual_time import now, on_virtual_time


class Dependency:
    def __init__(self, name: str = "redis", until: float = float("inf"), fault: str = "ConnectionError") -> None:
        self.name, self.until, self.fault = name, until, fault
        self.calls: list[float] = []

    async def __call__(self) -> str:
        self.calls.append(now())
        if now() < self.until:
            raise Unavailable(self.name, self.fault)
        return "answer"


def waiting_metric(name: str) -> float:
    return metrics.WAITING.labels(dependency=name)._value.get()


@on_virtual_time
async def test_waits_for_an_answer() -> None:
    dependency = Dependency(until=now() + 300)
    assert await RetryPolicy().until_available(dependency) == "answer"
    pauses = [b - a for a, b in zip(dependency.calls, dependency.calls[1:], strict=False)]
    assert max(pauses) <= LONGEST_PAUSE_S
    assert min(pauses[-5:]) >= LONGEST_PAUSE_S / 2
    assert pauses[0] <= 0.1
    assert now() - dependency.until <= LONGEST_PAUSE_S


@pytest.mark.parametrize("at_most_s", [0.0, 0.5, 20.0])
@on_virtual_time
async def test_gives_up_in_time(at_most_s) -> None:
    started, patience = now(), RetryPolicy()
    with pytest.raises(DependencyTimeout, match=r"redis did not answer for \d+ s \(ConnectionError\)"):
        await patience.until_available(Dependency(), at_most_s=at_most_s)
    assert at_most_s <= now() - started <= at_most_s + LONGEST_PAUSE_S
    assert patience.waiting_for == ()


@on_virtual_time
async def test_logs_once_a_period():
    with capture_logs() as logs:
        await RetryPolicy().until_available(Dependency(until=now() + 60.5))
    said = [entry for entry in logs if entry["event"] == "waiting"]
    assert 60 / (SAY_EVERY_S + LONGEST_PAUSE_S) <= len(said) <= 60 / SAY_EVERY_S + 1
    told = {"event": "waiting", "log_level": "warning", "dependency": "redis", "fault": "ConnectionError", "tasks": 1}
    assert said[0] == told
    assert logs[-1] == {"event": "no_longer_waiting", "log_level": "info", "dependency": "redis"}
    assert len(logs) == len(said) + 1


@on_virtual_time
async def test_many_waiters_log_once():
    """Giving up is no answer, and a quick one is not worth a line."""
    patience, dependency = RetryPolicy(), Dependency(until=now() + 5)
    with capture_logs() as logs:
        await asyncio.gather(*(patience.until_available(dependency) for _ in range(50)))
        await patience.until_available(dependency)
        with pytest.raises(DependencyTimeout):
            await patience.until_available(Dependency(), at_most_s=1)
    assert [entry["event"] for entry in logs] == ["waiting", "no_longer_waiting", "waiting"]


@on_virtual_time
async def test_waiting_shows_while_it_lasts() -> None:
    patience = RetryPolicy()
    assert waiting_metric("redis") == 0
    away = [Dependency("redis", until=now() + 10), Dependency("kafka", until=now() + 30)]
    both = [asyncio.create_task(patience.until_available(each)) for each in away]
    await asyncio.sleep(5)
    assert patience.waiting_for == ("kafka", "redis")
    assert (waiting_metric("redis"), waiting_metric("kafka")) == (1, 1)
    await asyncio.sleep(15)
    assert patience.waiting_for == ("kafka",)
    assert (waiting_metric("redis"), waiting_metric("kafka")) == (0, 1)
    await asyncio.gather(*both)
    assert patience.waiting_for == ()
    assert waiting_metric("kafka") == 0


@on_virtual_time
async def test_cancelling_ends_the_waiting() -> None:
    patience = RetryPolicy()
    task = asyncio.create_task(patience.until_available(Dependency()))
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert patience.waiting_for == ()
    assert waiting_metric("redis") == 0


@pytest.mark.parametrize("away", [0, 2])
@on_virtual_time
async def test_other_errors_pass_through(away) -> None:
    patience, errors = RetryPolicy(), iter([Unavailable("redis", "ConnectionError")] * away)

    async def broken():
        raise next(errors, ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await patience.until_available(broken)
    assert patience.waiting_for == ()


@on_virtual_time
async def test_last_fault_is_told() -> None:
    faults = iter(["First", "Second", "Second"])

    async def changing():
        raise Unavailable("kafka", next(faults, "Last"))

    with pytest.raises(DependencyTimeout, match="Last"):
        await RetryPolicy().until_available(changing, at_most_s=30)
