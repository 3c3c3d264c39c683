"""A brute-force attack among honest users, replayed against whatever installation the LIVENESS_ settings name.

Fifty correlation ids attack from three addresses and two devices. Around them five hundred people prove who they are,
from IPv4 and IPv6, two hundred of them behind one shared address; some fail once or twice, as people do. The attack
comes in rounds: after each one attackers read their answers, and who is refused gives up.

Every picture carries an instruction for the scripted worker of these tests (`tests.e2e.scripted_worker`); the worker of
the product ignores it and sees a portrait or a generated face.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from abuse.subjects import SubjectType
from config.catalogues.error_codes import ErrorCode
from config.settings import Settings
from stream.demo import attacks
from stream.events.topics import Topic, topic_name
from stream.events.wire.submissions import Form, NewSubmission, submission_output
from stream.kafka.clients.clients import TopicReader, producer, reader
from tests.e2e.abuse_cases import LIVE, error_code
from tests.e2e.analysers import marked
from tests.e2e.pictures import plain_picture

ATTACKERS, ATTACK_ADDRESSES, ATTACK_DEVICES = 50, 3, 2
HONEST, BEHIND_SHARED_ADDRESS = 500, 200
#: Also the most an attacker tries.
ROUNDS = 12
#: Rounds in which honest people begin: the last of them still has rounds for three tries.
HONEST_START = 9
#: People who fail before they succeed, and how many of them fail twice: 2 to 5 % of the honest submissions.
UNLUCKY, UNLUCKY_TWICE = 24, 8
UNSURE = 40
#: What the scripted analyser answers LIVE, INCONCLUSIVE and SPOOF for (threshold 0.58, band 0.04).
UNCLEAR = 0.58
SPOOF = (0.02, 0.52)
REFUSALS = frozenset({ErrorCode.SUBJECT_PAUSED, ErrorCode.SUBJECT_BLOCKED})
ROUND_S, SETTLE_S = 90.0, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`tries` is the liveness of each picture, in the order they are sent, from round `starts` on."""

    correlation_id: str
    session_id: str
    address: str
    device: str
    attacker: bool
    starts: int
    tries: tuple[float, ...]

    def submission(self, number: int) -> NewSubmission:
        return self.picture(self.tries[number], str(uuid.uuid5(uuid.UUID(self.correlation_id), str(number))))

    def picture(self, liveness: float, submission_id: str) -> NewSubmission:
        image = generated_face() if liveness < UNCLEAR else plain_picture()
        return NewSubmission(
            image=marked(image, "liveness", liveness),
            submission_id=submission_id,
            correlation_id=self.correlation_id,
            optional={"client_ip": self.address, "device_id": self.device, "session_id": self.session_id},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Attackers and honest people. The same seed gives the same people and the same pictures."""

    attackers: tuple[Person, ...]
    honest: tuple[Person, ...]
    shared_address: str

    @property
    def everybody(self) -> tuple[Person, ...]:
        return self.attackers + self.honest


@cache
def generated_face() -> bytes:
    """The simulated attack that the product's worker is surest about."""
    photo = attacks.decode(plain_picture())
    return attacks.ATTACKS["generated face"](photo)


def cast(seed: int) -> Cast:
    chance = random.Random(seed)
    attack_addresses = ["203.0.113.9", "192.0.2.77", "2001:db8:bad::13"]
    attack_devices = [_guid(chance) for _ in range(ATTACK_DEVICES)]
    shared_address = "198.51.100.200"
    attackers = [
        _person(chance, attack_addresses[n % ATTACK_ADDRESSES], attack_devices[n % ATTACK_DEVICES], attacker=True)
        for n in range(ATTACKERS)
    ]
    addresses = [shared_address] * BEHIND_SHARED_ADDRESS + _addresses(chance, HONEST - BEHIND_SHARED_ADDRESS)
    luck = [(n < UNLUCKY, n < UNLUCKY_TWICE, UNLUCKY <= n < UNLUCKY + UNSURE) for n in range(HONEST)]
    chance.shuffle(luck)
    honest = [
        _person(chance, address, _guid(chance), unlucky=unlucky, twice=twice, unsure=unsure)
        for address, (unlucky, twice, unsure) in zip(addresses, luck, strict=True)
    ]
    return Cast(attackers=tuple(attackers), honest=tuple(honest), shared_address=shared_address)


def _person(
    chance: random.Random,
    address: str,
    device: str,
    *,
    attacker: bool = False,
    unlucky: bool = False,
    twice: bool = False,
    unsure: bool = False,
) -> Person:
    if attacker:
        tries = [_attack(chance) for _ in range(ROUNDS)]
    else:
        failed = [round(chance.uniform(0.4, SPOOF[1]), 2) for _ in range(unlucky + twice)]
        tries = [*failed, *([UNCLEAR] * unsure), *([LIVE] * chance.choice((1, 1, 2)))][:3]
    return Person(
        correlation_id=_guid(chance),
        session_id=f"s-{_guid(chance)}",
        address=address,
        device=device,
        attacker=attacker,
        starts=0 if attacker else chance.randrange(HONEST_START),
        tries=tuple(tries),
    )


def _attack(chance: random.Random) -> float:
    """Liveness of an attack: mostly SPOOF by a varying margin, sometimes unclear, rarely LIVE."""
    kind = chance.random()
    return LIVE if kind < 0.04 else UNCLEAR if kind < 0.14 else round(chance.uniform(*SPOOF), 2)


def _guid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _addresses(chance: random.Random, number: int) -> list[str]:
    """Addresses of homes: IPv4 and IPv6 in turn, all different."""
    fours = [f"198.18.{n // 256}.{n % 256}" for n in chance.sample(range(65536), number)]
    sixes = [f"2001:db8:{n:x}::{chance.randrange(1, 65536):x}" for n in chance.sample(range(1, 0xBAD), number)]
    return [four if n % 2 else six for n, (four, six) in enumerate(zip(fours, sixes, strict=True))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Submissions with their decisions, by submission id; `flags` in the order of the topic."""

    people: Cast
    sent: Mapping[str, Person]
    decisions: Mapping[str, dict[str, Any]]
    flags: Sequence[dict[str, Any]]

    def refused(self, people: Iterable[Person]) -> dict[str, str]:
        """Correlation id -> the error of its last refusal."""
        wanted = {person.correlation_id for person in people}
        found = {}
        for submission_id, decision in self.decisions.items():
            code = error_code(decision)
            if code in REFUSALS and self.sent[submission_id].correlation_id in wanted:
                found[self.sent[submission_id].correlation_id] = str(code)
        return found

    def flagged(self, people: Iterable[Person]) -> set[str]:
        """Correlation ids among `people` that have a flag of their own."""
        wanted = {person.correlation_id for person in people}
        subjects = (flag["subject"] for flag in self.flags)
        return {s["key"] for s in subjects if s["type"] == SubjectType.CORRELATION_ID and s["key"] in wanted}


class Unanswered(Exception):
    """Submissions of a round were not decided in time."""


@dataclass(slots=True, kw_only=True)
class BruteForce:
    """The attack on one installation: rounds of submissions, each answered before the next."""

    settings: Settings
    people: Cast
    seed: int = 0
    _sent: dict[str, Person] = field(default_factory=dict)
    _decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    _flags: list[dict[str, Any]] = field(default_factory=list)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> Outcome:
        """Raises Unanswered when the installation does not keep up."""
        kafka = self.settings.kafka
        topics = [topic_name(topic, kafka) for topic in (Topic.DECISIONS, Topic.ABUSE_FLAGS)]
        async with reader(kafka, *topics, from_start=False) as source, _listening(source, self._hear):
            for number in range(ROUNDS):
                submissions = self._round(number)
                if submissions:
                    await self._play(submissions)
            await self._settle()
        return Outcome(
            people=self.people,
            sent=self._sent,
            decisions=self._decisions,
            flags=self._flags,
        )

    def _round(self, number: int) -> list[NewSubmission]:
        """Submissions of the people who still try, in a random order."""
        made = []
        for person in self.people.everybody:
            turn = number - person.starts
            if 0 <= turn < len(person.tries) and not self._given_up(person, turn):
                new = person.submission(turn)
                self._sent[new.submission_id] = person
                made.append(new)
        random.Random(self.seed * ROUNDS + number).shuffle(made)
        return made

    def _given_up(self, person: Person, turn: int) -> bool:
        """True after a refusal: a refused id is refused for a while."""
        if turn == 0:
            return False
        before = self._decisions.get(person.submission(turn - 1).submission_id)
        return before is None or error_code(before) in REFUSALS

    async def _play(self, submissions: Sequence[NewSubmission]) -> None:
        topic = topic_name(Topic.SUBMISSIONS, self.settings.kafka)
        async with producer(self.settings.kafka) as client:
            sending = []
            for new in submissions:
                out = submission_output(new, topic, Form.BINARY)
                sending.append(await client.send(out.topic, key=out.key, value=out.value, headers=list(out.headers)))
            await asyncio.gather(*sending)
        await self._until(lambda: all(new.submission_id in self._decisions for new in submissions), ROUND_S)

    async def _settle(self) -> None:
        """Wait for the flags that decisions name: a flag follows its decision."""
        named = {
            flag["flag_id"]
            for decision in self._decisions.values()
            for flag in (decision["abuse"] or {}).get("flags", ())
        }
        await self._until(lambda: named <= {flag["flag_id"] for flag in self._flags}, SETTLE_S)

    async def _until(self, done: Callable[[], bool], within_s: float) -> None:
        """Wait for a condition, looking again at every event heard."""
        try:
            async with asyncio.timeout(within_s):
                while not done():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            missing = len(self._sent) - len(self._decisions)
            raise Unanswered(
                f"{missing} submissions without a decision, or flags without an event: is a worker up?"
            ) from None

    def _hear(self, topic: str, value: bytes) -> None:
        """Keep the events of this attack: others may use the installation too."""
        event = orjson.loads(value)
        if topic.endswith(Topic.ABUSE_FLAGS):
            if event["cause"] in self._sent:
                self._flags.append(event)
        elif event["submission_id"] in self._sent:
            self._decisions[event["submission_id"]] = event
        self._heard.set()


@asynccontextmanager
async def _listening(source: TopicReader, hear: Callable[[str, bytes], None]) -> AsyncIterator[None]:
    async def listen() -> None:
        async for record in source.records():
            hear(record.topic, record.value or b"")

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
