"""The sweeper: what expired is published and then recorded, by one worker at a time, and again after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from abuse.flags.flags import FlagState
from abuse.ledger.expiry import MOST_AT_ONCE, TURN_SWEEPS
from abuse.ledger.ledger import InMemoryLedger
from abuse.store_time import StillTime
from abuse.subjects import correlation
from config.errors import Unavailable
from stream.events.message.messages import Output
from stream.kafka.agents.publishing import Publisher
from stream.maintenance.sweeper import Sweeper
from stream.runtime.patience import DependencyTimeout, RetryPolicy
from stream.sessions.session_store import InMemorySessionStore
from tests.unit.abuse.builders import at_ms, guid
from tests.unit.stream.fakes import Away
from tests.unit.stream.review.command_cases import FLAG_TTL_S, ME, flag, flagged, header
from tests.unit.stream.runtime import virtual_time
from tests.unit.stream.sessions.builders import session_record

EVERY_S = 60.0


class Crash(Exception):
    """The process ends here."""


class Topic:
    """A topic with what was published; refuses its first sends."""

    def __init__(self, refusals: int = 0) -> None:
        self.outputs: list[Output] = []
        self.refusals = refusals

    async def __call__(self, output: Output) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("kafka", "KafkaTimeoutError")
        self.outputs.append(output)


def sweeper(ledger: Any, topic: Topic | None = None, at_s: float = FLAG_TTL_S, wait_s: float = 30.0) -> Sweeper:
    patience = RetryPolicy()
    return Sweeper(
        ledger=ledger,
        publisher=Publisher(topic or Topic(), patience, wait_s),
        patience=patience,
        time=StillTime(at_ms(at_s)),
        flags_topic="flags",
        source="/test",
        every_s=EVERY_S,
    )


async def test_expired_flag_is_published_once():
    ledger, topic = InMemoryLedger(), Topic()
    flag_id = await flagged(ledger)
    assert await sweeper(ledger, topic, at_s=FLAG_TTL_S - 1).sweep() == 0
    one = sweeper(ledger, topic)
    assert [await one.sweep() for _ in range(3)] == [1, 0, 0]
    (output,) = topic.outputs
    assert (output.topic, output.key) == ("flags", ME.key.encode())
    assert output.value == (await flag(ledger)).documents[-1]
    assert orjson.loads(output.value)["state"] == "expired"
    assert header(output, "ce_id") == f"{flag_id}-expired-{at_ms(FLAG_TTL_S)}"
    assert header(output, "ce_type") == "liveness.abuse-flag.v1"


async def test_flag_that_cannot_be_read_holds_up_no_other():
    """Nor does it hold up the sessions, or end the worker. It expires once it can be read."""
    ledger, topic, store = InMemoryLedger(), Topic(), InMemorySessionStore()
    first, other = [await flagged(ledger, subject=correlation(guid(number))) for number in (1, 2)]
    ((name, text),) = (held := next(iter(ledger.fields.values()))).items()
    held[name] = "sub-1 of a newer release"
    await store.create(session_record())
    made = replace(sweeper(ledger, topic), sessions=store, sessions_topic="sessions", time=StillTime(2**50))
    assert await made.sweep() == 1
    assert [output.topic for output in topic.outputs] == ["flags", "sessions"]
    assert other.encode() in topic.outputs[0].value
    held[name] = text
    assert await sweeper(ledger, topic).sweep() == 1
    assert first.encode() in topic.outputs[-1].value


async def test_sweeps_only_in_its_turn():
    ledger, topic = InMemoryLedger(), Topic()
    await flagged(ledger)

    async def somebody_elses(name: str, for_ms: int) -> bool:
        assert for_ms == TURN_SWEEPS * EVERY_S * 1000
        return False

    ledger.take_turn = somebody_elses
    assert (await sweeper(ledger, topic).sweep(), topic.outputs) == (0, [])
    assert sweeper(ledger).name != sweeper(ledger).name


@pytest.mark.parametrize("call", ["record", "later"])
@pytest.mark.parametrize("effect", [True, False])
async def test_crash_after_publishing(call, effect):
    ledger, topic = InMemoryLedger(), Topic()
    await flagged(ledger)

    class Dying(InMemoryLedger):
        async def _die(self, name: str, *args: Any) -> Any:
            if effect:
                await getattr(InMemoryLedger, name)(ledger, *args)
            raise Crash

    dying = Dying()
    dying.__dict__.update(ledger.__dict__)
    setattr(dying, call, lambda *args: dying._die(call, *args))
    with pytest.raises(Crash):
        await sweeper(dying, topic).sweep()
    assert len(topic.outputs) == 1
    await sweeper(ledger, topic, at_s=FLAG_TTL_S + 300).sweep()
    assert (await flag(ledger)).state is FlagState.EXPIRED
    recorded = (call == "record" and effect) or call == "later"
    assert len(topic.outputs) == (1 if recorded else 2)
    assert len(set(topic.outputs)) == 1, "the same bytes, headers and key"
    for _ in range(2):
        assert await sweeper(ledger, topic, at_s=FLAG_TTL_S + 400).sweep() == 0


async def test_unpublished_expiry_is_not_recorded():
    ledger = InMemoryLedger()
    await flagged(ledger)
    with pytest.raises(DependencyTimeout):
        await sweeper(ledger, Topic(refusals=9), wait_s=0.0).sweep()
    assert (await flag(ledger)).state is FlagState.RAISED
    assert await sweeper(ledger).sweep() == 1


def test_sweep_waits_for_dependencies():
    async def swept(away: int, refusals: int) -> tuple[int, Topic]:
        ledger, topic = InMemoryLedger(), Topic(refusals)
        await flagged(ledger)
        ledger._on_call = Away(away)
        return await sweeper(ledger, topic).sweep(), topic

    for away, refusals in ((3, 0), (0, 3), (2, 2)):
        count, topic = virtual_time.run(swept(away, refusals))
        assert (count, len(topic.outputs)) == (1, 1)


async def test_backlog_takes_several_sweeps():
    ledger, topic = InMemoryLedger(), Topic()
    for number in range(MOST_AT_ONCE + 30):
        await flagged(ledger, subject=correlation(guid(number)))
    one = sweeper(ledger, topic)
    assert [await one.sweep() for _ in range(3)] == [MOST_AT_ONCE, 30, 0]
    assert len({header(output, "ce_id") for output in topic.outputs}) == MOST_AT_ONCE + 30


def test_sweeps_at_its_pace():
    async def minutes() -> list[str]:
        ledger = InMemoryLedger(on_call := Away(0))
        task = asyncio.create_task(sweeper(ledger).run())
        await asyncio.sleep(10 * EVERY_S + 1)
        task.cancel()
        await asyncio.wait([task])
        return on_call.calls

    assert virtual_time.run(minutes()).count("take_turn") == 10
