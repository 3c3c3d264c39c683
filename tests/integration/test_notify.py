"""`liveness notify` as a process: every flag arrives under its own id, whatever the receiver or a SIGKILL does."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from config import settings as configuration
from stream.bootstrap.authentication import open_macs
from stream.embedded.session import EmbeddedServices
from stream.events.message.messages import Output
from stream.events.topics import Topic, topic_name
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.kafka.clients.clients import producer, send
from stream.notify.signing import SignatureRefused, signing_key, verify
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import START_S, Workers

NOTIFY = ("stream.cli", "notify")
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
MANY = 20
PATH = "/hooks/do-not-log-me"

Answer = Callable[[str, int], int]


class Receiver:
    """Checks every signature; `answer(event id, how often it came)` is the status. `bodies` has what it took."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _event_id, _times: 200
        self.asked: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.refused: list[str] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post(PATH, self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{PATH}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event_id = verify(signing_key(SECRET), request.headers, body, now_s=time.time())
        except SignatureRefused as error:
            self.refused.append(str(error))
            return web.Response(status=401)
        self.asked[event_id] += 1
        status = self.answer(event_id, self.asked[event_id])
        if status == 200:
            self.taken[event_id] += 1
            self.bodies[event_id] = body
        return web.Response(status=status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


def settings_for(receiver: Receiver, **changed: str) -> dict[str, str]:
    return {
        "webhook__url": receiver.url,
        "webhook__secret": SECRET,
        "webhook__allow_private": "true",
        **changed,
    }


def flag(number: int, topic: str) -> Output:
    return Output(
        topic=topic,
        key=f"subject-{number % 5}".encode(),
        value=orjson.dumps({"flag_id": f"flag-{number}", "state": "raised"}),
        headers=binary_headers(EventType.ABUSE_FLAG, event_id=f"flag-{number}", source="test", subject="s"),
    )


async def publish(installation: Installation, numbers: range) -> dict[str, bytes | None]:
    """Publish flags with these numbers; event id -> document."""
    flags = [flag(number, installation.topic(Topic.ABUSE_FLAGS)) for number in numbers]
    async with producer(installation.settings.kafka) as client:
        for each in flags:
            await send(client, each)
    return {dict(each.headers)["ce_id"].decode(): each.value for each in flags}


@pytest.mark.real
@pytest.mark.slow
async def test_every_flag_arrives(install: MakeInstallation, receiver: Receiver) -> None:
    """Fails some, killed midway with work in flight, started again: nothing lost, repeats under the same id."""
    installation = await install(partitions=2, **settings_for(receiver))
    gate_is_shut = True

    def answer(event_id: str, times: int) -> int:
        number = int(event_id.removeprefix("flag-"))
        if number == 7:
            return 422
        if gate_is_shut and number % 2:
            return 503
        return 200 if number % 3 or times > 2 else 500

    receiver.answer = answer
    sent = await publish(installation, range(MANY))
    first = await installation.workers.start(NOTIFY).ready()
    refused = [f"flag-{number}" for number in range(1, MANY, 2) if number != 7]
    # Several attempts each: by then a process that commits too early has done so.
    await eventually(lambda: all(receiver.asked[name] >= 4 for name in refused), "each is tried again and again")
    taken_before = set(receiver.taken)
    first.kill()
    gate_is_shut = False

    second = installation.workers.start(NOTIFY)
    await eventually(lambda: set(receiver.taken) == set(sent) - {"flag-7"}, "the rest arrives", 90)
    assert taken_before, "it was killed midway"
    assert not taken_before & set(refused), "with work left"
    assert receiver.bodies == {name: value for name, value in sent.items() if name != "flag-7"}
    assert receiver.refused == []

    await nothing_left(installation)
    letters = await installation.records(Topic.DEAD_LETTER)
    assert letters, "the poisoned one is set aside"
    for letter in letters:  # twice if the kill came between the letter and the commit
        headers = dict(letter.headers)
        assert (headers["reason"], headers["message"]) == (b"WEBHOOK_FAILED", b"HTTP 422")
        assert (headers["ce_id"], letter.value) == (b"flag-7", sent["flag-7"])
        assert not any(b"127.0.0.1" in value or b"hooks" in value for value in headers.values())

    taken = receiver.taken.copy()
    second.terminate()
    assert await second.ended() == 0
    third = await installation.workers.start(NOTIFY).ready()
    (more,) = await publish(installation, range(100, 101))
    await eventually(lambda: more in receiver.taken, "a third process goes on")
    assert receiver.taken == taken + Counter([more]), "what was committed is not posted again"
    assert_says_no_secrets(installation)
    third.terminate()
    assert await third.ended() == 0


async def nothing_left(installation: Installation) -> None:
    from aiokafka import TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    from stream.kafka.clients.access import notifier_group
    from stream.kafka.clients.clients import admin, whole_topics_consumer

    settings, topic = installation.settings, installation.topic(Topic.ABUSE_FLAGS)
    client: AIOKafkaAdminClient

    async with admin(settings.kafka) as client, whole_topics_consumer(settings.kafka, topic) as consumer:

        async def all_committed() -> bool:
            ends = await consumer.end_offsets(consumer.assignment())
            committed = await client.list_consumer_group_offsets(notifier_group(settings))
            at: dict[TopicPartition, int] = {tp: found.offset for tp, found in committed.items()}
            return all(at.get(tp, 0) == end for tp, end in ends.items())

        await eventually(all_committed, "everything is committed")


def assert_says_no_secrets(installation: Installation) -> None:
    for worker in installation.workers.started:
        for secret in (PATH, "do-not-log-me", SECRET, SECRET[6:], '"raised"'):
            assert secret not in worker.output


@pytest.mark.real
@pytest.mark.slow
async def test_dead_receiver_is_given_up(install: MakeInstallation, receiver: Receiver) -> None:
    """Each event becomes a dead letter, and metrics and log show why."""
    installation = await install(partitions=1, **settings_for(receiver, webhook__give_up_after_s="1"))
    receiver.answer = lambda _event_id, _times: 500
    sent = await publish(installation, range(MANY))
    worker = await installation.workers.start(NOTIFY).ready()
    await nothing_left(installation)
    letters = await installation.records(Topic.DEAD_LETTER)
    assert sorted(dict(letter.headers)["ce_id"].decode() for letter in letters) == sorted(sent)
    assert {dict(letter.headers)["message"] for letter in letters} == {b"HTTP 500"}
    await worker.said("webhook_failing", why="HTTP 500")
    _, metrics = await asyncio.to_thread(worker.get, "/metrics")
    assert f'liveness_webhook_deliveries_total{{outcome="set_aside"}} {MANY}.0' in metrics
    assert 'liveness_webhook_deliveries_total{outcome="retried"}' in metrics
    assert f'liveness_dead_letters_total{{reason="WEBHOOK_FAILED"}} {MANY}.0' in metrics


@pytest.mark.real
@pytest.mark.slow
async def test_stop_loses_nothing(install: MakeInstallation, receiver: Receiver) -> None:
    """A stop with deliveries in flight is quick; the next process delivers them."""
    installation = await install(partitions=1, **settings_for(receiver))
    receiver.answer = lambda _event_id, _times: 503
    sent = await publish(installation, range(MANY))
    first = await installation.workers.start(NOTIFY).ready()
    await eventually(lambda: len(receiver.asked) >= 16, "deliveries are in flight")
    first.terminate()
    assert await first.ended(within_s=30) == 0
    (dropped,) = first.events("work_dropped")
    assert dropped["records"] == 16
    receiver.answer = lambda _event_id, _times: 200
    installation.workers.start(NOTIFY)
    await eventually(lambda: set(receiver.taken) == set(sent), "all arrive afterwards", 90)


@pytest.mark.real
@pytest.mark.slow
async def test_two_share_the_work(install: MakeInstallation, receiver: Receiver) -> None:
    """The work of a killed one goes to the other."""
    installation = await install(partitions=4, **settings_for(receiver))
    first, second = installation.workers.start(NOTIFY), installation.workers.start(NOTIFY)
    await first.ready()
    await second.ready()
    receiver.answer = lambda _event_id, times: 200 if times > 1 else 500
    sent = await publish(installation, range(MANY))
    await eventually(lambda: receiver.asked, "deliveries began")
    first.kill()
    sent |= await publish(installation, range(MANY, 2 * MANY))
    await eventually(lambda: set(receiver.taken) == set(sent), "the other delivers all of them", 90)
    await nothing_left(installation)
    assert await installation.records(Topic.DEAD_LETTER) == []


@pytest.mark.real
@pytest.mark.slow
async def test_handover_waits_for_nobody(install: MakeInstallation, receiver: Receiver) -> None:
    """Deliveries may take ten minutes: work in flight is dropped, what was delivered is committed first."""
    installation = await install(partitions=2, **settings_for(receiver, delivery__commit_interval_s="60"))
    delivered = {f"flag-{number}" for number in range(MANY)}
    receiver.answer = lambda event_id, _times: 200 if event_id in delivered else 503
    await publish(installation, range(MANY))
    first = await installation.workers.start(NOTIFY).ready()
    await eventually(lambda: set(receiver.taken) == delivered, "some are delivered, not committed yet")
    await publish(installation, range(MANY, 2 * MANY))
    await eventually(lambda: len(receiver.asked) > MANY, "others are in flight")
    second = await installation.workers.start(NOTIFY).ready()
    await first.said("partitions_assigned", count=1)
    await second.said("partitions_assigned", count=1)
    receiver.answer = lambda _event_id, _times: 200
    wanted = {f"flag-{number}" for number in range(2 * MANY)}
    await eventually(lambda: set(receiver.taken) == wanted, "the rest arrives", 90)
    assert {receiver.taken[name] for name in delivered} == {1}, "what was delivered before is not posted again"


HOOK = "https://hooks.example.org/secret-path"
INCOMPLETE, PRIVATE = "webhook.url and webhook.secret", "not a public address"
WRONG: list[tuple[dict[str, str], str]] = [
    ({}, INCOMPLETE),
    ({"webhook__url": HOOK}, INCOMPLETE),
    ({"webhook__secret": SECRET}, INCOMPLETE),
    ({"webhook__url": "https://10.1.2.3/secret-path", "webhook__secret": SECRET}, PRIVATE),
    ({"webhook__url": "https://localhost/secret-path", "webhook__secret": SECRET}, PRIVATE),
    ({"webhook__url": HOOK, "webhook__secret": "short"}, "webhook.secret"),
]


@pytest.mark.real
async def test_wrong_settings_end_process(install: MakeInstallation) -> None:
    """The exit code is 2, and the words hide the secret part of the address."""
    installation = await install(partitions=1)
    workers = [installation.workers.start(NOTIFY, **changed) for changed, _ in WRONG]
    for worker, (changed, words) in zip(workers, WRONG, strict=True):
        assert await worker.ended(START_S) == 2, changed
        assert words in " ".join(worker.output.split()), changed
        assert "secret-path" not in worker.output


@pytest.mark.real
async def test_missing_topics_name_command(install: MakeInstallation, receiver: Receiver) -> None:
    installation = await install(partitions=1, **settings_for(receiver))
    worker = installation.workers.start(NOTIFY, kafka__topic_prefix="t-nowhere.")
    assert await worker.ended() == 1
    assert "liveness topics create" in worker.output


@pytest.mark.local_services
@pytest.mark.slow
async def test_kafka_away_is_waited_for(
    install_private: MakeInstallation, private_pair: PrivatePair, receiver: Receiver
) -> None:
    """Kafka goes while deliveries are under way and comes back; the same process goes on."""
    installation = await install_private(partitions=1, **settings_for(receiver, delivery__send_timeout_s="2"))
    receiver.answer = lambda _event_id, _times: 503
    sent = await publish(installation, range(MANY))
    worker = await installation.workers.start(NOTIFY).ready()
    await eventually(lambda: len(receiver.asked) >= 16, "deliveries are in flight")
    await private_pair.kill("kafka")
    receiver.answer = lambda _event_id, _times: 200
    await worker.said("waiting", dependency="kafka")
    await private_pair.start("kafka")
    await eventually(lambda: set(receiver.taken) == set(sent), "all arrive", 120)
    await nothing_left(installation)
    assert worker.code is None, "the same process went on"

    await private_pair.kill("kafka")
    await eventually(lambda: len(worker.events("waiting")) >= 2, "an idle one says so too")
    worker.terminate()
    assert await worker.ended(within_s=30) == 0
    await private_pair.start("kafka")


@pytest.mark.local_services
@pytest.mark.slow
async def test_kafka_away_too_long(
    install_private: MakeInstallation, private_pair: PrivatePair, receiver: Receiver
) -> None:
    installation = await install_private(
        partitions=1, **settings_for(receiver, delivery__send_timeout_s="1", delivery__output_patience_s="3")
    )
    receiver.answer = lambda _event_id, _times: 503
    await publish(installation, range(2))
    worker = await installation.workers.start(NOTIFY).ready()
    await eventually(lambda: len(receiver.asked) == 2, "deliveries are in flight")
    await private_pair.kill("kafka")
    receiver.answer = lambda _event_id, _times: 200
    assert await worker.ended() == 3
    assert "kafka did not answer" in worker.output


@pytest.mark.embedded
async def test_on_the_embedded_broker(receiver: Receiver, tmp_path: Path) -> None:
    with EmbeddedServices() as services:
        changed = {f"LIVENESS_{name.upper()}": value for name, value in settings_for(receiver).items()}
        workers = Workers({**services.environment, **changed, "LIVENESS_LOG__FORMAT": "json"}, tmp_path)
        try:
            worker = await workers.start(NOTIFY).ready()
            kafka = services.settings().kafka
            keys = orjson.loads(services.environment["LIVENESS_RECORDS__KEYS"])
            macs = open_macs(configuration.load(records={"keys": keys}))
            async with producer(kafka) as client:
                for number in range(MANY):
                    await send(client, macs.signed(flag(number, topic_name(Topic.ABUSE_FLAGS, kafka))))
            wanted = {f"flag-{number}" for number in range(MANY)}
            await eventually(lambda: set(receiver.taken) == wanted, "all arrive")
            worker.terminate()
            assert await worker.ended() == 0
        finally:
            workers.end()
