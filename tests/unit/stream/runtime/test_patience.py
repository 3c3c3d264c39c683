"""Waiting for a dependency: as long as it takes or as long as allowed, said once a period, shown while it lasts."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from config.errors import Unavailable
from stream.runtime import metrics
from stream.runtime.patience import LONGEST_PAUSE_S, SAY_EVERY_S, DependencyTimeout, RetryPolicy
from tests.unit.stream.runtime.virtual_time import now, run


class Dependency:
    """Away until a time; counts its calls."""

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


async def test_an_answer_at_once_says_nothing():
    patience = RetryPolicy()
    with capture_logs() as logs:
        assert await patience.until_available(Dependency(until=0)) == "answer"
    assert logs == []
    assert patience.waiting_for == ()


def test_it_waits_until_there_is_an_answer():
    async def scenario():
        dependency = Dependency(until=now() + 300)
        assert await RetryPolicy().until_available(dependency) == "answer"
        pauses = [b - a for a, b in zip(dependency.calls, dependency.calls[1:], strict=False)]
        assert max(pauses) <= LONGEST_PAUSE_S
        assert min(pauses[-5:]) >= LONGEST_PAUSE_S / 2
        assert pauses[0] <= 0.1
        assert now() - dependency.until <= LONGEST_PAUSE_S

    run(scenario())


@pytest.mark.parametrize("at_most_s", [0.0, 0.5, 20.0])
def test_it_gives_up_when_allowed_no_longer(at_most_s):
    async def scenario():
        started, patience = now(), RetryPolicy()
        with pytest.raises(DependencyTimeout, match=r"redis did not answer for \d+ s \(ConnectionError\)"):
            await patience.until_available(Dependency(), at_most_s=at_most_s)
        assert at_most_s <= now() - started <= at_most_s + LONGEST_PAUSE_S
        assert patience.waiting_for == ()

    run(scenario())


def test_it_says_so_at_once_and_then_once_a_period():
    async def scenario():
        with capture_logs() as logs:
            await RetryPolicy().until_available(Dependency(until=now() + 60.5))
        return logs

    logs = run(scenario())
    said = [entry for entry in logs if entry["event"] == "waiting"]
    assert 60 / (SAY_EVERY_S + LONGEST_PAUSE_S) <= len(said) <= 60 / SAY_EVERY_S + 1
    assert said[0] == {
        "event": "waiting",
        "log_level": "warning",
        "dependency": "redis",
        "fault": "ConnectionError",
        "tasks": 1,
    }
    assert logs[-1] == {"event": "no_longer_waiting", "log_level": "info", "dependency": "redis"}
    assert len(logs) == len(said) + 1


def test_many_that_wait_say_it_once_between_them():
    async def scenario():
        patience, dependency = RetryPolicy(), Dependency(until=now() + 5)
        with capture_logs() as logs:
            await asyncio.gather(*(patience.until_available(dependency) for _ in range(50)))
        return [entry["event"] for entry in logs]

    assert run(scenario()) == ["waiting", "no_longer_waiting"]


def test_giving_up_is_not_said_to_be_an_answer():
    async def scenario():
        with capture_logs() as logs, pytest.raises(DependencyTimeout):
            await RetryPolicy().until_available(Dependency(), at_most_s=1)
        return [entry["event"] for entry in logs]

    assert run(scenario()) == ["waiting"]


def test_what_is_waited_for_shows_while_it_lasts():
    async def scenario():
        patience = RetryPolicy()
        assert waiting_metric("redis") == 0
        both = [
            asyncio.create_task(patience.until_available(Dependency("redis", until=now() + 10))),
            asyncio.create_task(patience.until_available(Dependency("kafka", until=now() + 30))),
        ]
        await asyncio.sleep(5)
        assert patience.waiting_for == ("kafka", "redis")
        assert (waiting_metric("redis"), waiting_metric("kafka")) == (1, 1)
        await asyncio.sleep(15)
        assert patience.waiting_for == ("kafka",)
        assert (waiting_metric("redis"), waiting_metric("kafka")) == (0, 1)
        await asyncio.gather(*both)
        assert patience.waiting_for == ()
        assert waiting_metric("kafka") == 0

    run(scenario())


def test_being_cancelled_ends_the_waiting():
    async def scenario():
        patience = RetryPolicy()
        task = asyncio.create_task(patience.until_available(Dependency()))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert patience.waiting_for == ()
        assert waiting_metric("redis") == 0

    run(scenario())


@pytest.mark.parametrize("later", [False, True])
def test_anything_else_is_a_bug_and_goes_on_as_it_is(later):
    async def scenario():
        patience, calls = RetryPolicy(), []

        async def broken():
            calls.append(1)
            if later and len(calls) < 3:
                raise Unavailable("redis", "ConnectionError")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await patience.until_available(broken)
        assert patience.waiting_for == ()

    run(scenario())


def test_the_words_of_a_fault_are_kept_up_to_date():
    async def scenario():
        patience, faults = RetryPolicy(), iter(["First", "Second", "Second", "Last"])

        async def changing():
            raise Unavailable("kafka", next(faults, "Last"))

        with pytest.raises(DependencyTimeout, match="Last"):
            await patience.until_available(changing, at_most_s=30)

    run(scenario())
