"""A stage that raises: asked once more, then the record is set aside, answered and acknowledged; the worker goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from config.errors import SettingsError
from config.groups.processing import DeliverySettings
from stream.events.message.messages import Output, Record
from stream.kafka.agents.agents import STAGE_FAILED
from stream.kafka.agents.breaker import BreakerOpen
from stream.runtime.patience import DependencyTimeout
from tests.unit.stream.kafka.agent_scene import Scene
from tests.unit.stream.runtime.virtual_time import on_virtual_time

SETTINGS = DeliverySettings()
SECRET = "of-a-person"
ANSWER = Output(topic="answers", key=b"k", value=b"sorry", headers=())


class Failing(Scene):
    """Stage that raises the errors of a list, one a call, and then succeeds."""

    def __init__(self, errors: Sequence[Exception], answer: Exception | None = None) -> None:
        super().__init__()
        self._errors, self._answer = list(errors), answer

    async def handle(self, record: Record) -> Sequence[Output]:
        if self._errors:
            raise self._errors.pop(0)
        return []

    async def answer(self, record: Record) -> Sequence[Output]:
        if self._answer:
            raise self._answer
        return [ANSWER]


@on_virtual_time
async def test_asked_once_more() -> None:
    scene = Failing([KeyError(SECRET)])
    await scene.put(range(3))
    await asyncio.sleep(2)
    assert (scene.acked[0], scene.sent, scene.failures) == ([0, 1, 2], [], [])


@pytest.mark.parametrize("answer", [None, RuntimeError("this one too")])
@on_virtual_time
async def test_set_aside(answer: Exception | None) -> None:
    scene = Failing([KeyError(SECRET), OverflowError(SECRET)], answer)
    with capture_logs() as logged:
        await scene.put(range(1))
        await asyncio.sleep(2)
        await scene.put(range(1, 3))
        await asyncio.sleep(2)
    assert (scene.acked[0], scene.failures) == ([0, 1, 2], [])
    letter, *answers = scene.sent
    assert dict(letter.headers)["reason"] == STAGE_FAILED.encode()
    assert answers == ([ANSWER] if answer is None else [])
    assert [event["error"] for event in logged if "error" in event][:2] == ["KeyError", "OverflowError"]
    assert SECRET not in str(logged)


@pytest.mark.parametrize("error", [DependencyTimeout("redis"), SettingsError("wrong"), BreakerOpen("too many")])
@on_virtual_time
async def test_ends_worker(error: Exception) -> None:
    scene = Failing([error])
    await scene.put(range(1))
    await asyncio.sleep(2)
    assert (scene.failures, scene.acked[0]) == ([error], [])


@on_virtual_time
async def test_failing_deploy_opens_breaker() -> None:
    """The record that opens the breaker is neither published nor acknowledged."""
    scene = Failing([RuntimeError()] * 1000)
    await scene.put(range(40))
    await asyncio.sleep(5)
    (error, *_) = scene.failures
    assert isinstance(error, BreakerOpen)
    assert 16 <= len(scene.acked[0]) < SETTINGS.breaker_failures
