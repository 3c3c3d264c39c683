"""The order of commits: whatever finishes first, nothing is committed before all that precedes it is settled."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.errors import Unavailable
from config.settings import DeliverySettings
from stream.events.messages import Output, Record
from stream.kafka.acks import Partition
from stream.kafka.publishing import Publisher
from stream.notify import loop as module
from stream.notify.loop import AT_ONCE, LOOK_EVERY_S, STOP_GRACE_S, DeadLetters, Notifier
from stream.notify.notice import Notice
from stream.notify.webhook import Delivered, Outcome, Undeliverable
from stream.runtime import metrics
from stream.runtime.clock import Clock
from stream.runtime.patience import DependencyTimeout, RetryPolicy
from tests.unit.stream.notify.builders import BODY, flag_record
from tests.unit.stream.runtime.virtual_time import now, run

DELIVERY = DeliverySettings(commit_interval_s=1, output_patience_s=120, send_timeout_s=5)
TAKEN = Delivered(status=200, attempts=1)
P0, P1 = ("flags", 0), ("flags", 1)


class LoopClock(Clock):
    def now_ms(self) -> int:
        return int(now() * 1000)

    def monotonic(self) -> float:
        return now()


class FakeSource:
    """A topic in memory: reads go on from a position, commits are kept; away when told so."""

    def __init__(self, *records: Record) -> None:
        self.partitions: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            self.partitions[(record.topic, record.partition)].append(record)
        self.position: dict[Partition, int] = defaultdict(int)
        self.committed: dict[Partition, int] = {}
        self.commits: list[dict[Partition, int]] = []
        self.away = False
        self.looks = 0
        self.most_asked: list[int] = []

    assigned = 2

    @property
    def lag(self) -> int:
        return sum(len(records) - self.position[tp] for tp, records in self.partitions.items())

    async def read(self, most: int, wait_s: float) -> list[Record]:
        self.most_asked.append(most)
        found: list[Record] = []
        for partition, records in self.partitions.items():
            taken = records[self.position[partition] :][: most - len(found)]
            self.position[partition] += len(taken)
            found += taken
        if not found:
            await asyncio.sleep(wait_s)
        return found

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        if self.away:
            raise Unavailable("kafka", "Away")
        await asyncio.sleep(0.01)
        self.commits.append(dict(positions))
        self.committed |= positions

    async def look(self) -> None:
        self.looks += 1
        if self.away:
            raise Unavailable("kafka", "Away")

    def forget(self) -> None:
        """The next assignment begins where the last one was committed."""
        self.position.clear()
        self.position.update(self.committed)


class FakeWebhook:
    """Deliveries end when the test says so, or at once with `outcome`."""

    def __init__(self, outcome: Outcome | Exception | None = None) -> None:
        self.outcome = outcome
        self.waiting: dict[str, asyncio.Future[Outcome]] = {}
        self.posted: list[str] = []

    async def deliver(self, notice: Notice) -> Outcome:
        self.posted.append(notice.event_id)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is not None:
            return self.outcome
        future = self.waiting[notice.event_id] = asyncio.get_running_loop().create_future()
        try:
            return await future
        finally:
            self.waiting.pop(notice.event_id, None)

    def end(self, event_id: str, outcome: Outcome = TAKEN) -> None:
        self.waiting[event_id].set_result(outcome)


class Letters:
    """The dead-letter topic; away until a time."""

    def __init__(self) -> None:
        self.sent: list[Output] = []
        self.away = False

    async def __call__(self, output: Output) -> None:
        if self.away:
            raise Unavailable("kafka", "Away")
        self.sent.append(output)


class Scene:
    """A running notifier and its surroundings."""

    def __init__(self, *records: Record, outcome: Outcome | Exception | None = None) -> None:
        self.source, self.webhook, self.letters = FakeSource(*records), FakeWebhook(outcome), Letters()
        patience = RetryPolicy()
        self.notifier = Notifier(
            webhook=self.webhook,
            publisher=Publisher(self.letters, patience, at_most_s=DELIVERY.output_patience_s),
            patience=patience,
            dead_letters=DeadLetters(topic="letters", max_bytes=1000),
            clock=LoopClock(),
            delivery=DELIVERY,
        )
        self.task = asyncio.create_task(self.notifier.run(self.source))

    async def passes(self, seconds: float) -> None:
        """Time in which the notifier does what it does; its failure is the test's."""
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        if done:
            self.task.result()

    async def stop(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def flags(count: int, partition: int = 0) -> list[Record]:
    return [flag_record(offset, partition=partition) for offset in range(count)]


def in_scene(*records: Record, outcome: Outcome | Exception | None = None) -> Any:
    """Decorator: run the scenario on virtual time."""

    def wrapped(scenario: Any) -> Any:
        def test() -> None:
            async def play() -> None:
                scene = Scene(*records, outcome=outcome)
                try:
                    await scenario(scene)
                finally:
                    scene.task.cancel()
                    await asyncio.wait({scene.task})

            run(play())

        test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
        return test

    return wrapped


@in_scene(*flags(5))
async def test_nothing_is_committed_beyond_the_first_that_is_not_settled(scene: Scene) -> None:
    await scene.passes(3)
    assert scene.source.commits == []
    for offset in (4, 1, 2):
        scene.webhook.end(f"flag-0-{offset}")
        await scene.passes(3)
    assert scene.source.commits == []
    scene.webhook.end("flag-0-0")
    await scene.passes(3)
    assert scene.source.commits == [{P0: 3}]
    scene.webhook.end("flag-0-3")
    await scene.passes(3)
    assert scene.source.commits == [{P0: 3}, {P0: 5}]
    await scene.passes(30)
    assert len(scene.source.commits) == 2, "nothing new, nothing committed"


@in_scene(*flags(3), *flags(3, partition=1))
async def test_partitions_do_not_hold_each_other_up(scene: Scene) -> None:
    await scene.passes(3)
    for offset in range(3):
        scene.webhook.end(f"flag-1-{offset}")
    await scene.passes(3)
    assert scene.source.committed == {P1: 3}


@in_scene(*flags(100))
async def test_so_many_at_once_and_no_more(scene: Scene) -> None:
    await scene.passes(3)
    assert len(scene.webhook.waiting) == AT_ONCE
    assert scene.notifier.state().in_flight == AT_ONCE
    for offset in range(3, 10):
        scene.webhook.end(f"flag-0-{offset}")
    await scene.passes(3)
    assert len(scene.webhook.waiting) == AT_ONCE, "the free places are taken"
    assert len(scene.webhook.posted) == AT_ONCE + 7
    assert scene.source.commits == []
    assert max(scene.source.most_asked) <= AT_ONCE, "no more is read than can be delivered"


def test_what_a_crash_would_repeat_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_UNCOMMITTED", 20)

    async def scenario() -> None:
        scene = Scene(*flags(100))
        await scene.passes(1)
        for _ in range(20):
            for event_id in [one for one in scene.webhook.waiting if one != "flag-0-0"]:
                scene.webhook.end(event_id)
            await scene.passes(1)
        assert len(scene.webhook.posted) == 20
        scene.webhook.end("flag-0-0")
        await scene.passes(3)
        assert scene.source.committed == {P0: 20}
        assert len(scene.webhook.posted) > 20
        await scene.stop()

    run(scenario())


@in_scene(*flags(2))
async def test_what_can_not_be_delivered_is_set_aside_before_it_is_committed(scene: Scene) -> None:
    counted = metrics.DEAD_LETTERS.labels(reason="WEBHOOK_FAILED")._value
    before = counted.get()
    await scene.passes(3)
    scene.letters.away = True
    scene.webhook.end("flag-0-1")
    with capture_logs() as logs:
        scene.webhook.end("flag-0-0", Undeliverable(why="HTTP 422", attempts=1))
        await scene.passes(20)
        assert scene.source.commits == []
        assert scene.notifier.state().waiting_for == ("kafka",)
        scene.letters.away = False
        await scene.passes(5)
    assert scene.source.commits == [{P0: 2}]
    assert counted.get() - before == 1
    (letter,) = scene.letters.sent
    assert (letter.topic, letter.key, letter.value) == ("letters", b"subject", BODY)
    headers = dict(letter.headers)
    assert (headers["reason"], headers["message"]) == (b"WEBHOOK_FAILED", b"HTTP 422")
    assert (headers["source_topic"], headers["source_offset"]) == (b"flags", b"0")
    assert headers["ce_id"] == b"flag-0-0"
    (said,) = [entry for entry in logs if entry["event"] == "flag_set_aside"]
    assert (said["why"], said["partition"], said["offset"]) == ("HTTP 422", 0, 0)


@in_scene(flag_record(0, headers=()), flag_record(1, value=None), flag_record(2), outcome=TAKEN)
async def test_what_is_no_event_is_set_aside_unposted(scene: Scene) -> None:
    await scene.passes(5)
    assert scene.webhook.posted == ["flag-0-2"]
    assert [dict(letter.headers)["message"] for letter in scene.letters.sent] == [b"no usable event id", b"no event"]
    assert scene.source.committed == {P0: 3}


@in_scene(*flags(4))
async def test_before_partitions_go_what_is_settled_is_committed_and_the_rest_read_again(scene: Scene) -> None:
    await scene.passes(0.1)
    scene.webhook.end("flag-0-0")
    scene.webhook.end("flag-0-2")
    await scene.passes(0.1)
    await scene.notifier.revoked([P0])
    assert scene.source.committed == {P0: 1}
    await scene.passes(3)
    assert sorted(scene.webhook.waiting) == ["flag-0-1", "flag-0-2", "flag-0-3"]
    assert scene.notifier.state().in_flight == 3, "each once, not twice"
    for offset in (1, 2, 3):
        scene.webhook.end(f"flag-0-{offset}")
    await scene.passes(3)
    assert scene.source.committed == {P0: 4}
    assert scene.webhook.posted.count("flag-0-2") == 2


@in_scene(*flags(2))
async def test_a_rebalance_while_the_broker_is_away_takes_no_longer_than_a_stop(scene: Scene) -> None:
    await scene.passes(0.1)
    scene.webhook.end("flag-0-0")
    await scene.passes(0.1)
    scene.source.away = True
    began = now()
    await scene.notifier.revoked({P0})
    assert now() - began <= STOP_GRACE_S
    scene.source.away = False
    await scene.passes(3)
    assert scene.webhook.posted.count("flag-0-0") == 2, "read again, posted again, under the same id"


@in_scene(*flags(1), outcome=TAKEN)
async def test_a_commit_waits_for_the_broker(scene: Scene) -> None:
    scene.source.away = True
    await scene.passes(DELIVERY.stall_timeout_s + 20)
    state = scene.notifier.state()
    assert state.waiting_for == ("kafka",)
    assert not state.stalled
    assert not state.ready
    scene.source.away = False
    await scene.passes(5)
    assert scene.source.committed == {P0: 1}
    assert scene.notifier.state().ready


@in_scene(*flags(1), outcome=TAKEN)
async def test_but_not_for_ever(scene: Scene) -> None:
    scene.source.away = True
    with pytest.raises(DependencyTimeout, match="kafka"):
        await scene.passes(DELIVERY.output_patience_s + 10)
    assert scene.source.commits == []


@in_scene()
async def test_an_idle_one_asks_whether_the_broker_is_there(scene: Scene) -> None:
    await scene.passes(LOOK_EVERY_S * 3.5)
    assert scene.source.looks == 3
    scene.source.away = True
    await scene.passes(LOOK_EVERY_S * 2)
    assert scene.notifier.state().waiting_for == ("kafka",)
    with pytest.raises(DependencyTimeout):
        await scene.passes(DELIVERY.output_patience_s + 10)


@in_scene(*flags(2))
async def test_a_dead_letter_that_can_not_be_written_ends_it(scene: Scene) -> None:
    await scene.passes(1)
    scene.letters.away = True
    scene.webhook.end("flag-0-0", Undeliverable(why="HTTP 400", attempts=1))
    scene.webhook.end("flag-0-1")
    with pytest.raises(DependencyTimeout):
        await scene.passes(DELIVERY.output_patience_s + 10)
    assert scene.source.commits == []


@in_scene(*flags(1), outcome=ZeroDivisionError("a bug"))
async def test_a_bug_ends_it_and_commits_nothing(scene: Scene) -> None:
    with pytest.raises(ZeroDivisionError):
        await scene.passes(10)
    assert scene.source.commits == []


@in_scene(*flags(2))
async def test_a_delivery_that_a_library_cancels_is_a_bug_too(scene: Scene) -> None:
    await scene.passes(1)
    scene.webhook.waiting["flag-0-0"].cancel()
    with pytest.raises(RuntimeError, match="cancelled from within"):
        await scene.passes(10)
    assert scene.source.commits == []


@in_scene(*flags(3))
async def test_a_stop_lets_deliveries_end_for_a_moment_and_commits(scene: Scene) -> None:
    await scene.passes(0.1)
    began = now()
    scene.task.cancel()
    await scene.passes(STOP_GRACE_S / 2)
    scene.webhook.end("flag-0-0")
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await scene.task
    assert now() - began <= 2 * STOP_GRACE_S
    assert scene.source.committed == {P0: 1}
    assert scene.webhook.waiting == {}, "nothing goes on after the stop"
    assert {"event": "notifier_stopped", "abandoned": 2, "log_level": "info"} in logs


@in_scene(*flags(3), outcome=TAKEN)
async def test_a_stop_without_a_broker_is_quick_too(scene: Scene) -> None:
    scene.source.away = True
    await scene.passes(10)
    began = now()
    await scene.stop()
    assert now() - began <= 2 * STOP_GRACE_S


@in_scene(*flags(2))
async def test_waiting_long_for_a_receiver_is_not_being_stuck(scene: Scene) -> None:
    await scene.passes(900)
    state = scene.notifier.state()
    assert (state.in_flight, state.waiting_for) == (2, ())
    assert state.stuck_s < 5
    assert state.ready


def test_a_loop_that_does_not_come_round_shows() -> None:
    """Only a bug can do that; the health page tells."""

    async def scenario() -> None:
        scene = Scene(*flags(2))
        await scene.passes(1)

        async def never(_most: int, _wait_s: float) -> list[Record]:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        scene.source.read = never  # type: ignore[method-assign]
        await scene.passes(DELIVERY.stall_timeout_s + 30)
        assert scene.notifier.state().stalled
        scene.task.cancel()
        await asyncio.wait({scene.task})

    run(scenario())
