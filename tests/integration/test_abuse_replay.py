"""The abuse table under replay, kills, expiry, loss and absence: the same flags, each told once, nobody let by."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
import uuid
from typing import Any

import orjson
import pytest

from abuse.flags.flag_events import PolicyName, raised
from abuse.flags.flags import Evidence, FlagKind, FlagRefusal, RefusalKind, RuleFinding, Severity
from abuse.ledger.journal import SHARDS
from abuse.ledger.ledger import Ledger
from abuse.review import audit
from abuse.review.audit import CommandKey
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.subjects import SubjectType, correlation
from config.limits.abuse import DAY_S
from stream.bootstrap.abuse import open_ledger
from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from stream.kafka.clients.clients import producer, send
from stream.redis.client import connect
from tests.e2e.abuse_cases import (
    HASH_KEYS,
    LIVE,
    REFUSED,
    SPOOF,
    AbuseTable,
    answers,
    command,
    contents,
    decided,
    decisions_of,
    error_code,
    flag_contents,
    flagged,
    order,
    picture,
    publish,
    what_happens_to,
)
from tests.e2e.analysers import marked
from tests.e2e.checker import group_lag
from tests.e2e.cli import liveness, quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.private_pair import PrivatePair
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED, Worker

SEED = 20261121
KILLS = 6
#: The index of flags: an event that is written again may leave an entry in it which readers pass over.
INDEX = "flag-index:"
DAY_MS = DAY_S * 1000
#: Keys that a rebuild can't know: plans of commands, entries that the topic has, notes of workers at their start; and
#: when to look at a flag, compared by itself: where two submissions raced for one flag, the table went by the later.
NOT_REBUILT = ("command:", "audit:", "turn", "due:", "key-check:")
RACE_MS = 30_000


def abusive(number: int, chance: random.Random) -> list[NewSubmission]:
    """Submissions of a few ids from fewer devices and addresses, most of them found out."""
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(max(number // 10, 2))]
    made = []
    for _ in range(number):
        which = chance.randrange(len(ids))
        liveness_of = SPOOF if chance.random() < 0.8 else LIVE
        optional = {
            "client_ip": f"203.0.113.{which % 3 + 1}",
            "device_id": f"device-{which % 2}",
            "session_id": f"s-{which}",
        }
        made.append(picture(ids[which], liveness_of, **optional))
    return made


async def every_flag_event_is_published(installation: Installation) -> None:
    """The events on the topic are those of the table, whatever was repeated; each has one content."""
    held = await AbuseTable(installation).flag_events()
    found = await flag_contents(installation)
    assert {name: values for name, values in found.items() if len(set(values)) != 1} == {}
    assert sorted(set(held) - set(found)) == [], "in the table and never published"
    assert sorted(set(found) - set(held)) == [], "published and not in the table"
    assert {name: values[0] for name, values in found.items()} == held


@pytest.mark.real
@pytest.mark.slow
async def test_replay_changes_nothing(install: MakeInstallation) -> None:
    """Every submission again, under the same ids and bytes."""
    installation = await install(abuse__hash_keys=HASH_KEYS)
    await installation.workers.run(2)
    submissions = abusive(100, random.Random(SEED))
    unreadable = [
        dataclasses.replace(new, submission_id=f"un-{n}", image=b"no picture") for n, new in enumerate(submissions[:8])
    ]
    submissions = [*submissions, *unreadable, *(rival(new) for new in submissions[:8])]
    await publish(installation, submissions)
    await installation.drained()
    await every_flag_event_is_published(installation)
    table = AbuseTable(installation)
    before = (await table.dump(), await flag_contents(installation), await installation.records(Topic.DECISIONS))
    listed = await every_flag_listed(installation)
    kinds = {orjson.loads(values[0])["kind"] for values in before[1].values()}
    assert {"excessive_retries", "device_velocity"} <= kinds
    assert await table.immortal() == []

    await publish(installation, submissions)
    await installation.drained()
    decisions = await installation.records(Topic.DECISIONS)
    assert len(decisions) == 2 * len(submissions)
    assert contents(decisions) == contents(before[2]), "the same decisions, byte by byte"
    assert await flag_contents(installation) == before[1], "no flag event, not even a repeated one"
    assert what_counts(await table.dump()) == what_counts(before[0])
    assert await every_flag_listed(installation) == listed
    await installation.sound_report()


def what_counts(dump: dict[str, Any]) -> dict[str, Any]:
    """The table without repeats of records that never ask at the gate (no picture, other content).

    Such a record is written down again when it is sent again, and counts once.
    """
    counting = without(dump, "turn", INDEX)
    for key in [key for key in counting if key.startswith("journal:") and is_behind(key)]:
        first: dict[bytes, tuple[bytes, float]] = {}
        for line, at_ms in counting[key]:
            first.setdefault(line.rpartition(b" ")[2], (line, at_ms))
        counting[key] = first
    for key in [key for key in counting if key.startswith("used:")]:
        counting[key] = sorted(member for member, _ in counting[key])  # with when it was last used
    return counting


def is_behind(key: str) -> bool:
    """Whether this part of a journal is one of records that never ask at the gate."""
    _, kind, _, part = key.rstrip("}").split("|")
    return int(part) >= SHARDS.get(SubjectType(kind), 1)


async def every_flag_listed(installation: Installation) -> list[str]:
    """Ids of all flags as reviewers see them, newest first, from the index of flags."""
    lines = (await liveness(installation, "abuse", "list", "--all", "--json")).lines
    assert lines, "some flag was raised"
    return [line["flag_id"] for line in lines]


def without(dump: dict[str, Any], *beginnings: str) -> dict[str, Any]:
    return {key: value for key, value in dump.items() if not key.startswith(beginnings)}


@pytest.mark.real
@pytest.mark.slow
async def test_storm_loses_no_flag(install: MakeInstallation) -> None:
    """Workers die at random moments while abuse goes on: what the table says was published, and nothing else."""
    chance = random.Random(SEED)
    installation = await install(abuse__hash_keys=HASH_KEYS)
    await installation.workers.run(2)
    submissions = abusive(150, chance)
    portion = len(submissions) // KILLS
    for number in range(KILLS):
        await publish(installation, submissions[number * portion : (number + 1) * portion])
        await installation.progress(chance, (1, 12), (0.3, 3.0))
        await installation.workers.replace_one(chance, SCRIPTED)
    report = await installation.sound_report(150)
    assert report.decided == len(submissions)
    assert installation.workers.codes == {-9: KILLS, None: 2}
    await every_flag_event_is_published(installation)
    await what_was_decided_was_counted(installation)


async def what_was_decided_was_counted(installation: Installation) -> None:
    """The journals hold the attempts that decisions tell of, and no others but those whose worker was killed before it
    decided: read again, such a submission may be refused for a pause or block that began meanwhile."""
    counted, paused = set(), set()
    for event in await installation.events(Topic.DECISIONS):
        if event["abuse"]["observation"] is not None:
            counted.add((event["correlation_id"], event["abuse"]["observation"]["counted_as"]))
        elif event["error"]["code"] in ("SUBJECT_PAUSED", "SUBJECT_BLOCKED"):
            paused.add((event["correlation_id"], event["submission_id"]))
    held = set()
    for key, lines in (await AbuseTable(installation).dump()).items():
        if key.startswith("journal:") and "|correlation_id|" in key:
            for line, _ in lines:
                fields = line.decode().split(" ")
                held.add((fields[-3], fields[-1]))
    assert held - paused == counted


def rival(new: NewSubmission) -> NewSubmission:
    """A different attack under the same submission id."""
    return NewSubmission(
        image=marked(plain_picture(), "liveness", 0.2),
        submission_id=new.submission_id,
        correlation_id=new.correlation_id,
        optional=new.optional,
    )


@pytest.mark.real
@pytest.mark.slow
async def test_flag_expires_once(install: MakeInstallation, tmp_path: Any) -> None:
    """Three workers look for expired flags all the time; each expiry is told once, and not again after a restart."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[abuse]\nflag_ttl_s = 86400\n[abuse.excessive_retries]\nblock_s = 86400\n")
    # Of four partitions the first two workers may keep two each, and leave the third none.
    installation = await install(partitions=3, abuse__sweep_s="0.2", policy_file=str(policy))
    names = [str(uuid.uuid4()) for _ in range(3)]
    calls = connect(installation.settings.redis)
    ledger = open_ledger(installation.settings, installation.settings.policy(), calls)
    for name in names:
        await flagged_long_ago(ledger, name)
    await installation.workers.run(3)

    async def all_told() -> bool:
        return len(await flag_contents(installation)) >= len(names)

    await eventually(all_told, "each expiry is told")
    events = await flag_contents(installation)
    assert {len(values) for values in events.values()} == {1}
    documents = [orjson.loads(values[0]) for values in events.values()]
    assert {document["subject"]["key"] for document in documents} == set(names)
    assert {document["state"] for document in documents} == {"expired"}
    assert all(document["timestamp"] == document["expires_at"] for document in documents)
    for decision in await decided(installation, [picture(name, LIVE) for name in names]):
        assert error_code(decision) is None
        assert decision["abuse"]["flags"] == []

    await installation.workers.stop()
    fresh = str(uuid.uuid4())
    await flagged_long_ago(ledger, fresh)
    await calls.close()
    await installation.workers.run(2)

    async def the_new_one_too() -> bool:
        return len(await flag_contents(installation)) > len(names)

    await eventually(the_new_one_too, "a sweep after the restart has passed")
    again = await flag_contents(installation)
    assert {name: values for name, values in again.items() if name in events} == events
    assert {len(values) for values in again.values()} == {1}
    listed = await quick_liveness(installation, "abuse", "list", "--all", "--json")
    assert {line["state"] for line in listed.lines} == {"expired"}
    assert (await quick_liveness(installation, "abuse", "list", "--json")).lines == []


async def flagged_long_ago(ledger: Ledger, name: str) -> None:
    """A flag whose time is over, as workers left it that were gone before it ended."""
    at_ms = time.time_ns() // 1_000_000 - 2 * DAY_MS
    finding = RuleFinding(
        kind=FlagKind.EXCESSIVE_RETRIES,
        subject=correlation(name),
        severities=(Severity.MEDIUM,),
        first_ms=at_ms - 1000,
        at_ms=at_ms,
        evidence=Evidence(used=5, limit=5, window_s=180),
        refusal=FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at_ms, until_ms=at_ms + DAY_MS),
    )
    await ledger.record(
        raised(
            finding,
            tenant=None,
            cause=str(uuid.uuid4()),
            cleared_at_ms=-1,
            enforced=True,
            policy=PolicyName(name="tests", sha256="0" * 64),
            ttl_s=DAY_S,
        )
    )


@pytest.mark.real
@pytest.mark.slow
async def test_rebuild(install: MakeInstallation) -> None:
    """The table is lost and comes back from the topics, as it was."""
    installation = await install(abuse__hash_keys=HASH_KEYS)
    await installation.workers.run(2)
    await publish(installation, abusive(80, random.Random(SEED)))
    refused, wrong, confirmed = [str(uuid.uuid4()) for _ in range(3)]
    await flagged(installation, refused, wrong, confirmed)
    await people_decide(installation, wrong, confirmed)
    await decided(installation, [picture(wrong, LIVE)])
    await installation.drained()
    await every_flag_event_is_published(installation)
    table = AbuseTable(installation)
    before, listed = await table.dump(), await every_flag_listed(installation)

    on_top = (await liveness(installation, "abuse", "rebuild", "--json")).document
    unchanged = without(await table.dump(), "turn", INDEX) == without(before, "turn", INDEX)
    assert unchanged, "on a table that is there it changes nothing"
    assert await every_flag_listed(installation) == listed
    assert await table.forget() > 0
    rebuilt = (await liveness(installation, "abuse", "rebuild", "--json")).document
    assert rebuilt == on_top
    assert rebuilt["unreadable"] == 0
    after = await table.dump()
    assert without(after, *NOT_REBUILT, INDEX) == without(before, *NOT_REBUILT, INDEX)
    assert await every_flag_listed(installation) == listed
    assert_due_alike(after, before)
    assert await table.immortal() == []

    assert await what_happens_to(installation, refused) == "SUBJECT_PAUSED"
    assert await what_happens_to(installation, confirmed) == "SUBJECT_BLOCKED"
    assert await what_happens_to(installation, wrong) is None
    await the_trail_goes_on(installation)


def assert_due_alike(after: dict[str, Any], before: dict[str, Any]) -> None:
    """The same flags to look at, and none before its time."""
    times = [
        {name: at_ms for key, members in dump.items() if key.startswith("due:") for name, at_ms in members}
        for dump in (after, before)
    ]
    assert set(times[0]) == set(times[1])
    assert all(0 <= times[1][name] - at_ms <= RACE_MS for name, at_ms in times[0].items())


async def people_decide(installation: Installation, wrong: str, confirmed: str) -> None:
    """Enough commands, on all partitions, that their order in the chain isn't that of their times."""
    commands = [
        command("flag.override", subject={"type": "correlation_id", "key": wrong}),
        command("flag.confirm", subject={"type": "correlation_id", "key": confirmed}),
        *(command("correlation.reset", correlation_id=str(uuid.uuid4())) for _ in range(30)),
    ]
    for on in (False, True, False):
        switching = command("settings.update", rules={"attack_severity": {"enforced": on, "active": True}})
        await order(installation, [switching])
        await answers(installation, [switching["command_id"]])
    await asyncio.gather(*(order(installation, commands[start::4]) for start in range(4)))
    await answers(installation, [each["command_id"] for each in commands])
    await one_comes_late_into_the_chain(installation)


async def one_comes_late_into_the_chain(installation: Installation) -> None:
    """The last entry is of a command that had come first, on a partition whose worker was slow."""
    entries = await installation.events(Topic.AUDIT)
    place = ("chain", "number", "previous_sha256", "sha256")
    first = {name: value for name, value in entries_by_number(entries)[0].items() if name not in place}
    late = {**first, "command_id": str(uuid.uuid4()), "outcome": "refused", "changed": {}}
    calls = connect(installation.settings.redis)
    trail = RedisAuditLog(calls, installation.settings.redis_prefix)
    entry = await trail.append(late, await trail.head())
    await RedisCommandLog(calls, installation.settings.redis_prefix).put_if_absent(
        CommandKey(late["tenant"], late["command_id"]), b"answered"
    )
    await calls.close()
    async with producer(installation.settings.kafka) as client:
        await send(client, Output(topic=installation.topic(Topic.AUDIT), key=b"late", value=entry, headers=()))


async def the_trail_goes_on(installation: Installation) -> None:
    """From where it was: one chain, nothing missing, nothing twice; and an old command is answered as before."""
    new = command("correlation.reset", correlation_id=str(uuid.uuid4()))
    await order(installation, [new])
    await answers(installation, [new["command_id"]])
    entries = await installation.events(Topic.AUDIT)
    checked = audit.check(entries)
    assert (checked.entries, checked.chains, checked.problems) == (len(entries), 1, ())
    assert entries_by_number(entries)[-1]["command_id"] == new["command_id"]
    sent = await installation.records(Topic.COMMANDS)
    old = next(record.value for record in sent if orjson.loads(record.value or b"")["command"] == "flag.override")
    assert old is not None
    name = orjson.loads(old)["command_id"]
    before = await answers(installation, [name])
    await order(installation, [old])

    async def answered_again() -> bool:
        return len((await answers(installation, [name]))[name]) > len(before[name])

    await eventually(answered_again, "the old command is answered again")
    assert set((await answers(installation, [name]))[name]) == set(before[name])


def entries_by_number(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: int(entry["number"]))


@pytest.mark.local_services
@pytest.mark.slow
async def test_redis_away(install_private: MakeInstallation, private_pair: PrivatePair) -> None:
    """A refused id stays refused: nobody gets past the gate while Redis is away."""
    installation = await install_private()
    workers = await installation.workers.run(2)
    paused, *honest = [str(uuid.uuid4()) for _ in range(4)]
    await flagged(installation, paused)
    await installation.drained()
    decided_before = await installation.decisions()
    await private_pair.kill("redis")
    waiting = [picture(name, LIVE) for name in (paused, *honest) for _ in range(3)]
    await publish(installation, waiting)
    await says_it_waits(installation)
    assert await installation.decisions() == decided_before
    assert (await group_lag(installation.settings))[Topic.SUBMISSIONS] == len(waiting), "none is acknowledged"
    await private_pair.start("redis")
    found = await decisions_of(installation, [new.submission_id for new in waiting])
    codes = {new.correlation_id: set[str | None]() for new in waiting}
    for decision in found:
        codes[decision["correlation_id"]].add(error_code(decision))
    assert codes[paused] <= REFUSED
    assert codes[paused], "and each of them is answered"
    assert all(codes[name] == {None} for name in honest)
    await installation.sound_report()
    assert [worker.code for worker in workers] == [None, None]


async def says_it_waits(installation: Installation) -> None:
    def waiting() -> list[Worker]:
        return [worker for worker in installation.workers.alive if worker.events("waiting")]

    await eventually(waiting, "a worker says that it waits for redis")
    assert {worker.get("/live")[0] for worker in waiting()} == {200}
