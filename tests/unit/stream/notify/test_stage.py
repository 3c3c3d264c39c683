"""The notifier's stage: delivered with nothing to publish, or a dead letter that says why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from stream.events.message.messages import Output, Record
from stream.events.wire.dead_letter import DeadLetters
from stream.notify.notice import Notice
from stream.notify.stage import NotifyStage
from stream.notify.webhook import Delivered, DeliveryOutcome, Undeliverable
from stream.runtime import metrics
from tests.unit.stream.notify.builders import BODY, flag_record

TAKEN = Delivered(status=200, attempts=1)


class FakeWebhook:
    """Answers every delivery alike; open only between the stage's opening and closing."""

    def __init__(self, outcome: DeliveryOutcome | Exception) -> None:
        self.outcome = outcome
        self.posted: list[str] = []
        self.is_open = False

    async def deliver(self, notice: Notice) -> DeliveryOutcome:
        assert self.is_open
        self.posted.append(notice.event_id)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[FakeWebhook]:
        self.is_open = True
        yield self
        self.is_open = False


async def handled(record: Record, outcome: DeliveryOutcome | Exception = TAKEN) -> tuple[list[Output], FakeWebhook]:
    webhook = FakeWebhook(outcome)
    stage = NotifyStage(webhook.opened, dead_letters=DeadLetters(topic="letters", max_bytes=1000))
    await stage.open()
    try:
        return list(await stage.handle(record)), webhook
    finally:
        await stage.close()
        assert not webhook.is_open


def counts() -> tuple[float, ...]:
    outcomes = [metrics.WEBHOOK_DELIVERIES.labels(outcome=outcome) for outcome in ("delivered", "set_aside")]
    counters = [*outcomes, metrics.DEAD_LETTERS.labels(reason="WEBHOOK_FAILED")]
    return tuple(counter._value.get() for counter in counters)


@pytest.mark.parametrize(
    ("changed", "outcome", "why", "attempts"),
    [
        pytest.param({}, TAKEN, None, 1, id="taken"),
        pytest.param({}, Undeliverable(why="HTTP 422", attempts=1), "HTTP 422", 1, id="refused"),
        pytest.param({}, Undeliverable(why="TimeoutError", attempts=9), "TimeoutError", 9, id="late"),
        pytest.param({"headers": ()}, TAKEN, "no usable event id", 0, id="no id"),
        pytest.param({"value": None}, TAKEN, "no event", 0, id="tombstone"),
    ],
)
async def test_delivered_or_set_aside(changed, outcome: DeliveryOutcome, why: str | None, attempts: int) -> None:
    record, before = flag_record(**changed), counts()
    with capture_logs() as logs:
        outputs, webhook = await handled(record, outcome)
    assert webhook.posted == ([] if changed else ["flag-1"])
    aside = why is not None
    assert tuple(after - was for was, after in zip(before, counts(), strict=True)) == (not aside, aside, aside)
    if why is None:
        assert (outputs, logs) == ([], [])
        return
    (letter,) = outputs
    headers = dict(letter.headers)
    assert (letter.topic, letter.key, letter.value) == ("letters", b"subject", record.value)
    assert (headers["reason"], headers["message"]) == (b"WEBHOOK_FAILED", why.encode())
    assert headers.get("ce_id") == (b"flag-1" if record.headers else None)
    told = {"why": why, "attempts": attempts, "partition": 0, "offset": 0}
    assert logs == [{"event": "flag_set_aside", "log_level": "warning", **told}]


async def test_dead_letter_keeps_the_limit() -> None:
    (letter,), _ = await handled(flag_record(value=BODY * 100), Undeliverable(why="HTTP 413", attempts=1))
    assert letter.value is None
    assert dict(letter.headers)["value_bytes"] == str(100 * len(BODY)).encode()


async def test_bug_sets_nothing_aside() -> None:
    before = counts()
    with pytest.raises(ZeroDivisionError):
        await handled(flag_record(), ZeroDivisionError("a bug"))
    assert counts() == before
