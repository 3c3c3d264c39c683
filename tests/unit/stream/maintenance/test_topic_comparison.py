"""An older copy of Redis' content, put back while no worker ran: told by what the topics have and the copy lacks."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
import redis

from abuse.event_time import DAY_MS, iso8601
from abuse.store_time import StillTime
from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.maintenance.older_copy import TopicComparison
from stream.redis.installation import PUBLISHED_LATER_MS
from stream.redis.marker import look_key
from tests.unit.stream.builders import bare, record
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.redis.test_installation import KEYS, Member, get, is_refused, marker, member
from tests.unit.stream.review.command_cases import Reviewer, sent

__all__ = ["member"]  # a fixture

AFTER_MS = PUBLISHED_LATER_MS + 60_000
SOON_MS = PUBLISHED_LATER_MS - 60_000


def appended(value: bytes | None, at_ms: int) -> Record:
    return replace(record(value), appended_at_ms=at_ms)


class Published:
    """Topics of an installation whose workers looked last at `look_ms`; what they published is held, or was lost."""

    def __init__(self, look_ms: int, kept_ms: int = 7 * DAY_MS) -> None:
        self.look_ms, self.kept_ms = look_ms, kept_ms
        self.held, self.lost = Pipeline(), Pipeline()
        self.reviewer = Reviewer()
        self.topics: dict[Topic, list[Record]] = {Topic.DECISIONS: [], Topic.AUDIT: []}

    async def decision(self, later_ms: int, *, by: Pipeline, appended_ms: int | None = None, **changed: object) -> None:
        """A decision, and when it came, by default at once; both after the look."""
        (output,) = [await by.decision(bare())]
        event = {**orjson.loads(output.value or b""), "timestamp": iso8601(self.look_ms + later_ms), **changed}
        at_ms = self.look_ms + (later_ms if appended_ms is None else appended_ms)
        self.topics[Topic.DECISIONS].append(appended(orjson.dumps(event), at_ms))

    async def answer(self, later_ms: int, *, held: bool = False, appended_ms: int | None = None) -> None:
        """A reviewer's command, carried out and answered."""
        (*_, output) = await self.reviewer.obey(replace(sent(), appended_at_ms=self.look_ms + later_ms))
        at_ms = self.look_ms + (later_ms if appended_ms is None else appended_ms)
        self.topics[Topic.AUDIT].append(appended(output.value, at_ms))
        if not held:
            self.reviewer = Reviewer()

    def comparison(self) -> TopicComparison:
        async def since(topic: Topic, since_ms: int) -> list[Record]:
            return [each for each in self.topics[topic] if each.appended_at_ms > since_ms]

        stores = {"decisions": self.held.store, "commands": self.reviewer.log}
        now = StillTime(self.look_ms + 3 * DAY_MS)
        return TopicComparison(appended_since=since, **stores, time=now, decisions_kept_ms=self.kept_ms)


async def lost_decision(topics: Published) -> None:
    await topics.decision(-DAY_MS, by=topics.held)
    await topics.decision(AFTER_MS, by=topics.lost, submission_id="another")


async def lost_answer(topics: Published) -> None:
    await topics.answer(AFTER_MS)


async def lost_behind_others(topics: Published) -> None:
    """Duplicates, which say when they were first decided, and what somebody else wrote."""
    topics.topics[Topic.DECISIONS].append(appended(b"no decision", topics.look_ms + AFTER_MS))
    topics.topics[Topic.DECISIONS].append(appended(None, topics.look_ms + AFTER_MS))
    await topics.decision(-DAY_MS, by=topics.lost, appended_ms=AFTER_MS)
    await lost_decision(topics)


OLDER = [lost_decision, lost_answer, lost_behind_others]


async def nothing(topics: Published) -> None:
    """A fresh installation, or retention that removed everything."""


async def stopped_long_ago(topics: Published) -> None:
    """The last decision was published as the last look was written, and has expired in Redis since."""
    await topics.decision(-1, by=topics.lost)


async def killed_after_publishing(topics: Published) -> None:
    await topics.decision(SOON_MS, by=topics.lost)
    await topics.answer(SOON_MS)


async def restored_topic(topics: Published) -> None:
    """Topics that were copied: appended anew, decided before."""
    await topics.decision(-DAY_MS, by=topics.lost, appended_ms=AFTER_MS)
    await topics.answer(-DAY_MS, appended_ms=AFTER_MS)


async def clocks_differ(topics: Published) -> None:
    """Redis' clock was behind all others."""
    await topics.decision(AFTER_MS, by=topics.held)
    await topics.answer(AFTER_MS, held=True)


async def odd_times(topics: Published) -> None:
    """Times of a publisher's clock: the decision's is far ahead, or the record's own lacks."""
    await topics.decision(400 * DAY_MS, by=topics.lost, appended_ms=SOON_MS)
    await topics.decision(AFTER_MS, by=topics.lost, appended_ms=-topics.look_ms)


async def somebody_elses(topics: Published) -> None:
    for topic, records in topics.topics.items():
        records += [
            appended(value, topics.look_ms + AFTER_MS) for value in (None, b"", b"{}", b"[1]", str(topic).encode())
        ]


async def without_a_name_of_its_own(topics: Published) -> None:
    """Kept under the content's fingerprint, which is on no topic."""
    await topics.decision(AFTER_MS, by=topics.lost, error={"code": "DUPLICATE_MISMATCH", "message": ""})
    await topics.decision(AFTER_MS, by=topics.lost, correlation_id=None)


SOUND = [
    *(nothing, stopped_long_ago, killed_after_publishing, restored_topic, clocks_differ, odd_times),
    *(somebody_elses, without_a_name_of_its_own),
]


async def put_back(member, url: str, publish) -> Member:
    """A worker that starts on content of days ago, with what was published since."""
    await member(new=True).watch.look()
    with redis.Redis.from_url(url) as client:
        topics = Published(int(client.zincrby(look_key(KEYS[0]), -3 * DAY_MS, "last")))
        client.set(KEYS[0], marker("new", topics.look_ms - DAY_MS))
    await publish(topics)
    worker = member()
    worker.comparison = topics.comparison()
    return worker


@pytest.mark.parametrize("publish", OLDER)
async def test_older_copy_counts_as_lost(member, empty_redis, publish):
    worker = await put_back(member, empty_redis, publish)
    for _ in range(2):
        await is_refused(worker.watch.look)
        await is_refused(get(worker))
    assert worker.watch.troubles()
    await is_refused(member().watch.look)
    await worker.rebuilt()
    await worker.watch.look()
    assert (await get(worker)(), worker.watch.troubles()) == ([None], ())


@pytest.mark.parametrize("publish", SOUND)
async def test_no_false_alarm(member, empty_redis, publish):
    worker = await put_back(member, empty_redis, publish)
    await worker.watch.look()
    assert await get(worker)() == [None]


async def test_rebuilt_before_the_start(member, empty_redis):
    """The copy's last look is as old as before; the marker of the rebuild is not."""
    worker = await put_back(member, empty_redis, lost_decision)
    await worker.rebuilt()
    await worker.watch.look()
    assert await get(worker)() == [None]


async def test_nobody_has_looked_yet(member, empty_redis):
    """Content of a version before this one."""
    worker = await put_back(member, empty_redis, lost_decision)
    with redis.Redis.from_url(empty_redis) as client:
        client.delete(look_key(KEYS[0]))
    await worker.watch.look()
    assert await get(worker)() == [None]


async def test_setting_accepts_the_loss(member, empty_redis):
    waiting = await put_back(member, empty_redis, lost_decision)
    await is_refused(waiting.watch.look)
    accepting = member(accept_loss=True)
    accepting.comparison = waiting.comparison
    await accepting.watch.look()
    await waiting.watch.look()
    assert [await get(each)() for each in (accepting, waiting)] == [[None]] * 2


async def test_running_worker_asks_no_topic(member, empty_redis):
    """Later looks cost no request of Kafka: what is published since is this worker's own."""
    worker = await put_back(member, empty_redis, nothing)
    await worker.watch.look()
    worker.comparison = object()
    await worker.watch.look()
