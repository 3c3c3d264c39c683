"""A brute-force attack among honest users: flagged in full with its evidence, nobody else is blocked, and a reviewer
can undo it. Two workers take part, so that the decisions race."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from abuse.flags.flags import FlagKind
from abuse.subjects import SubjectType
from config.catalogues.error_codes import ErrorCode
from stream.bootstrap.abuse import hasher
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.clients import producer
from stream.review.command_client import ask
from stream.review.kinds.flags import ConfirmFlags, OverrideFlags
from tests.e2e.abuse_cases import ANSWER_S, HASH_KEYS, LIVE, decisions_of, error_code, flag_contents
from tests.e2e.brute_force import REFUSALS, BruteForce, Outcome, Person, cast
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.real, pytest.mark.slow]

SEED = 4
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Replayed:
    """The attack as it went, and the installation as it is afterwards."""

    installation: Installation
    outcome: Outcome

    def subject(self, kind: SubjectType, raw: str) -> dict[str, str]:
        """How flags name an address or a device."""
        hashing = hasher(self.installation.settings, self.installation.settings.policy())
        assert hashing is not None
        made = {SubjectType.ADDRESS: hashing.address, SubjectType.DEVICE: hashing.device}[kind](None, raw, 1)
        return {"type": str(kind), "key": made.key}

    def flags_of(self, subject: dict[str, str]) -> list[dict[str, Any]]:
        return [flag for flag in self.outcome.flags if flag["subject"] == subject]


async def test_brute_force(install: MakeInstallation) -> None:
    installation = await install(partitions=PARTITIONS, abuse__hash_keys=HASH_KEYS)
    await installation.workers.run(2)
    people = cast(SEED)
    outcome = await BruteForce(settings=installation.settings, people=people, seed=SEED).run()
    replayed = Replayed(installation, outcome)

    await installation.drained()
    await everything_is_answered_once(installation)
    every_attacker_is_flagged_and_refused(outcome)
    nobody_else_is(replayed)
    await sources_of_the_attack_are_flagged(replayed)
    shared_address_is_told_apart(replayed)
    await a_reviewer_undoes_it(replayed)
    assert [worker.code for worker in installation.workers.started] == [None, None]


async def everything_is_answered_once(installation: Installation) -> None:
    """Every submission has one distinct decision; every flag event is on the topic exactly once."""
    report = await installation.sound_report()
    assert report.submissions == report.decided
    contents = await flag_contents(installation)
    assert {name: len(values) for name, values in contents.items() if len(values) != 1} == {}


def every_attacker_is_flagged_and_refused(outcome: Outcome) -> None:
    attackers = outcome.people.attackers
    assert outcome.flagged(attackers) == {person.correlation_id for person in attackers}
    assert set(outcome.refused(attackers)) == {person.correlation_id for person in attackers}
    own = [flag for flag in outcome.flags if flag["subject"]["type"] == SubjectType.CORRELATION_ID]
    for flag in own:
        linked = flag["evidence"]["linked"]
        assert linked, f"a flag without evidence: {flag}"
        assert flag["evidence"]["used"] >= flag["evidence"]["limit"]
        for each in linked:
            sender = outcome.sent[each["submission"]]
            assert (sender.correlation_id, sender.session_id) == (each["correlation_id"], each["session"])
            assert each["correlation_id"] == flag["subject"]["key"]
    for name, decision in outcome.decisions.items():
        if error_code(decision) in REFUSALS:
            kinds = {flag["kind"] for flag in decision["abuse"]["flags"] if flag["enforced"]}
            assert FlagKind.EXCESSIVE_RETRIES in kinds, f"{name} was refused and not told by which flag"


def nobody_else_is(replayed: Replayed) -> None:
    outcome = replayed.outcome
    honest = outcome.people.honest
    assert outcome.refused(honest) == {}
    ids = {person.correlation_id for person in honest}
    devices = {replayed.subject(SubjectType.DEVICE, person.device)["key"] for person in honest}
    enforced = [flag for flag in outcome.flags if flag["enforced"] and flag["subject"]["key"] in ids | devices]
    assert enforced == []
    addresses = {replayed.subject(SubjectType.ADDRESS, person.address)["key"] for person in honest}
    assert [flag["kind"] for flag in outcome.flags if flag["subject"]["key"] in addresses] == []
    for name, decision in outcome.decisions.items():
        if not outcome.sent[name].attacker:
            assert decision["error"] is None
            assert not decision["abuse"]["is_abuse_detected"], decision["abuse"]


async def sources_of_the_attack_are_flagged(replayed: Replayed) -> None:
    """Over the events of their flags and what `show` tells, all fifty ids appear."""
    attackers = replayed.outcome.people.attackers
    addresses = sorted({(SubjectType.ADDRESS, person.address) for person in attackers})
    devices = sorted({(SubjectType.DEVICE, person.device) for person in attackers})
    assert (len(addresses), len(devices)) == (3, 2)
    everybody = {person.correlation_id for person in attackers}
    for sources in (addresses, devices):
        linked = set[str]()
        for kind, raw in sources:
            subject = replayed.subject(kind, raw)
            flags = replayed.flags_of(subject)
            wanted = FlagKind.MANY_IDS_ON_ADDRESS if kind is SubjectType.ADDRESS else FlagKind.DEVICE_VELOCITY
            assert wanted in {flag["kind"] for flag in flags}, f"{kind} was not flagged: {flags}"
            shown = await liveness(replayed.installation, "abuse", "show", f"{kind}:{raw}", "--json")
            assert raw.encode() not in shown.out, "what was asked for is not what is stored"
            here = {person.correlation_id for person in attackers if raw in (person.address, person.device)}
            found = {each["correlation_id"] for flag in flags for each in flag["evidence"]["linked"]}
            found |= {attempt["correlation_id"] for attempt in shown.document["attempts"]}
            assert found == here
            linked |= found
        assert linked == everybody


def shared_address_is_told_apart(replayed: Replayed) -> None:
    outcome = replayed.outcome
    address = replayed.subject(SubjectType.ADDRESS, outcome.people.shared_address)
    assert replayed.flags_of(address) == []
    risks = [
        decision["abuse"]["ip_risk"]
        for name, decision in outcome.decisions.items()
        if outcome.sent[name].address == outcome.people.shared_address
    ]
    relieved = [risk for risk in risks if "shared_address" in {part["name"] for part in risk["parts"]}]
    assert len(relieved) >= len(risks) / 2, "most come after enough people are known"
    assert [risk for risk in relieved if risk["score"] > 15] == []
    assert max(risk["score"] for risk in risks) < 50, "nor were those before it alarming"
    attack = [
        decision["abuse"]["ip_risk"]["score"]
        for name, decision in outcome.decisions.items()
        if outcome.sent[name].attacker and decision["abuse"]["ip_risk"]
    ]
    assert max(attack) >= 60


async def a_reviewer_undoes_it(replayed: Replayed) -> None:
    """A sample of each kind: three ids that are refused, and a device and an address that a reviewer first confirms, so
    that they refuse everybody."""
    installation, attackers = replayed.installation, replayed.outcome.people.attackers
    ids, device, address = attackers[:3], attackers[3].device, attackers[4].address
    on_device, on_address = newcomer(device=device), newcomer(address=address)
    sources = [replayed.subject(SubjectType.DEVICE, device), replayed.subject(SubjectType.ADDRESS, address)]
    for answer in await decide(installation, ConfirmFlags.name, sources):
        assert answer["outcome"] == "applied", answer
    for person in ids:
        assert set(await everywhere(installation, person)) <= REFUSALS
    for person in (on_device, on_address):
        assert set(await everywhere(installation, person)) == {ErrorCode.SUBJECT_BLOCKED}

    subjects = [{"type": "correlation_id", "key": person.correlation_id} for person in ids]
    for answer in await decide(installation, OverrideFlags.name, [*subjects, *sources]):
        assert answer["outcome"] == "applied", answer
        assert answer["changed"]["still_open"] == []
    for person in (*ids, on_device, on_address):
        assert set(await everywhere(installation, person)) == {None}, "it is analysed again at once"
    shown = await liveness(installation, "abuse", "list", "--json")
    assert not {line["subject"]["key"] for line in shown.lines} & {s["key"] for s in (*subjects, *sources)}
    audited = await liveness(installation, "abuse", "audit", "--json")
    assert len(audited.lines) == len(sources) * 2 + len(subjects)
    assert "0 problem(s)" in audited.err


def newcomer(address: str = "198.19.0.1", device: str = "") -> Person:
    """A new person on a device or address of the attack."""
    return Person(
        correlation_id=str(uuid.uuid4()),
        session_id="s-bystander",
        address=address,
        device=device or str(uuid.uuid4()),
        attacker=False,
        starts=0,
        tries=(),
    )


async def decide(installation: Installation, name: str, subjects: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Answers to one command a subject, all sent at once."""
    said = {"actor": "reviewer", "reason": "tests", "note": "", "tenant": None}
    return await asyncio.gather(
        *(
            ask(
                installation.settings,
                {"command": name, "command_id": str(uuid.uuid4()), **said, "subject": subject},
                subject["key"],
                ANSWER_S,
            )
            for subject in subjects
        )
    )


async def everywhere(installation: Installation, person: Person) -> list[str | None]:
    """Errors of an honest picture sent to every partition, and so to every worker."""
    pictures = [person.picture(LIVE, str(uuid.uuid4())) for _ in range(PARTITIONS)]
    await publish_to(installation, dict(enumerate(pictures)))
    answers = await decisions_of(installation, [new.submission_id for new in pictures])
    return [error_code(decision) for decision in answers]


async def publish_to(installation: Installation, by_partition: dict[int, NewSubmission]) -> None:
    async with producer(installation.settings.kafka) as client:
        for number, new in by_partition.items():
            out = submission_output(new, installation.topic(Topic.SUBMISSIONS))
            await client.send_and_wait(
                out.topic, key=out.key, value=out.value, headers=list(out.headers), partition=number
            )
