"""The table anew from its topics: as it was, in the order things were decided, without what is none of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
import redis

from abuse import observation_codec
from abuse.ledger.flag_index import Selection
from abuse.ledger.ledger import InMemoryLedger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links import link_codec
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.links import Link, LinkKind
from abuse.links.redis_link_store import RedisLinkStore
from abuse.observation import Finding, Observation
from abuse.redis_port import RedisClient
from abuse.review.audit import Head, InMemoryAuditLog, InMemoryCommandLog, check, digest, head_after, sealed
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.review.redis_erasure import RedisLedgerErasure
from abuse.subjects import SubjectType, correlation
from abuse.submission_ref import SubmissionRef
from config.settings import RedisSettings, Settings
from stream.events.messages import Record
from stream.maintenance import rebuild
from stream.maintenance.rebuild import BATCH, Rebuild, Rebuilt
from stream.maintenance.rebuild_records import NOT_OURS, flag_event_of, links_of
from stream.maintenance.store_records import RECORDS
from stream.redis.client import connect
from stream.review.queries import Queries
from stream.runtime.patience import RetryPolicy
from tests.unit.abuse.builders import DAY_MS, DAY_S, Table, at_ms, every, guid, seen, series, subject
from tests.unit.abuse.review.test_audit import entry_of
from tests.unit.stream.review.command_cases import (
    FLAG_TTL_S,
    ME,
    OTHER,
    Desk,
    about,
    flag_events,
    moved,
    published,
    sent,
)

DECISIONS, FLAGS, AUDIT = "liveness.decisions", "liveness.abuse-flags", "liveness.audit"
COMMANDS = "liveness.commands"
ADDRESS = subject(SubjectType.ADDRESS, 1)
WHEN_TO_LOOK = "due:"
INDEX = "flag-index:"

Topics = dict[str, list[Any]]


@dataclass
class World:
    """A Redis, topics, and tables by prefix."""

    client: redis.Redis
    calls: RedisClient
    topics: Topics

    def ledger(self, prefix: str) -> RedisLedger:
        return RedisLedger(self.calls, prefix, FLAG_TTL_S)

    def desk(self, prefix: str) -> Desk:
        return Desk(
            self.ledger(prefix),
            RedisCommandLog(self.calls, prefix),
            RedisAuditLog(self.calls, prefix),
            RedisLinkStore(self.calls, prefix, ttl_ms=DAY_MS),
            traces=RedisLedgerErasure(self.calls, prefix),
        )

    async def rebuild(self, prefix: str) -> Rebuilt:
        desk = self.desk(prefix)
        parts = {"ledger": desk.ledger, "links": desk.links, "audit": desk.audit, "commands": desk.log}
        parts["erasures"] = desk.erasures
        return await Rebuild(settings=Settings(), patience=RetryPolicy(), **parts).run()

    def dump(self, prefix: str) -> dict[str, Any]:
        """All keys under a prefix and what they hold."""
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": self.client.get,
            b"hash": self.client.hgetall,
            b"set": lambda key: sorted(self.client.smembers(key)),
            b"zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
        }
        keys = sorted(self.client.scan_iter(match=f"{prefix}*"))
        return {key.decode().removeprefix(f"{prefix}abuse:"): read[self.client.type(key)](key) for key in keys}

    async def see(self, prefix: str, *observations: Observation) -> None:
        """Observed and published, as the decide stage does it."""
        table = Table(ledger=self.ledger(prefix))
        await table.see(*observations)
        self.topics[DECISIONS] += [decision_of(each) for each in observations]
        self.topics[FLAGS] += [event.document for event in table.recorded]

    async def obey(self, prefix: str, record: Record) -> None:
        self.topics[COMMANDS].append(record)
        outputs = await self.desk(prefix).obey(record)
        self.topics[FLAGS] += [output.value for output in published(outputs, "flags")]
        self.topics[AUDIT].append(outputs[-1].value)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [orjson.loads(value or b"") for value in self.topics[AUDIT]]


def decision_of(observation: Observation | None, links: Sequence[Any] = (), **changes: Any) -> bytes:
    document = None if observation is None else observation_codec.to_document(observation)
    who = observation or seen()
    ids = {"tenant": who.tenant, "correlation_id": who.correlation_id, "session_id": who.session_id}
    return orjson.dumps({**ids, "abuse": {"observation": document and {**document, **changes}, "links": links}})


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """What a rebuild reads: values, or whole records where their time counts."""
    held: Topics = {name: [] for name in (DECISIONS, FLAGS, AUDIT, COMMANDS)}

    class Source:
        def __init__(self, topic: str) -> None:
            self.topic = topic

        async def until_end(self) -> AsyncIterator[Record]:
            for offset, value in enumerate(list(held[self.topic])):
                place = {"topic": self.topic, "partition": 0, "offset": offset}
                bare = Record(**place, key=None, value=None, headers=(), appended_at_ms=0)
                yield value if isinstance(value, Record) else replace(bare, value=value)

    @asynccontextmanager
    async def reader(kafka: object, topic: str, *, from_start: bool) -> AsyncIterator[Source]:
        assert from_start
        yield Source(topic)

    monkeypatch.setattr(rebuild, "reader", reader)
    return held


@pytest.fixture
async def world(empty_redis: str, topics: Topics) -> AsyncIterator[World]:
    calls = connect(RedisSettings(url=empty_redis, call_timeout_s=20))
    made = World(redis.Redis.from_url(empty_redis), calls, topics)
    yield made
    await calls.close()
    made.client.close()


class Memory(InMemoryAuditLog):
    """A log whose end may be told."""

    async def restore(self, head: Head) -> None:
        assert head.number > 0


async def rebuilt(ledger: InMemoryLedger, log: InMemoryCommandLog | None = None) -> Rebuilt:
    """A rebuild into memory."""
    parts: dict[str, Any] = {"ledger": ledger, "links": InMemoryLinkStore(), "audit": Memory()}
    parts["commands"] = log or InMemoryCommandLog()
    parts["erasures"] = Desk(ledger).erasures
    return await Rebuild(settings=Settings(), patience=RetryPolicy(), **parts).run()


async def eventful(world: World, prefix: str) -> None:
    """Pauses, a shared address and a device; a confirmation, an override, a reset, switches for two tenants."""
    await world.see(prefix, *series(every(10, 5), address=1, prefix=1, device=1))
    await world.see(prefix, *(seen(50 + n, 20 * n, who=2, finding=Finding.SPOOF, severity=0.9) for n in range(9)))
    await world.see(prefix, *(seen(90 + n, 500 + n, who=3, tenant="acme", address=2) for n in range(6)))
    await world.obey(prefix, sent("flag.confirm", command_id="k-1", subject=about(OTHER), at_s=800))
    await world.obey(prefix, sent("flag.override", command_id="k-2", subject=about(ME), at_s=900))
    await world.obey(prefix, sent("correlation.reset", command_id="k-3", correlation_id=guid(3), tenant="acme"))
    for number, on in enumerate((True, False, True, False)):
        rules = {"device_velocity": {"enforced": on}, "attack_severity": {"active": on}}
        await world.obey(prefix, sent("settings.update", command_id=f"s-{number}", rules=rules, tenant="acme"))
    await world.obey(prefix, sent("settings.update", command_id="s-9", rules={"attack_severity": {"enforced": True}}))
    await world.obey(prefix, sent("flag.confirm", command_id="k-4", subject=about(ME), at_s=1100))
    await world.see(prefix, seen(100, 1200), seen(101, 1201, address=1))
    await world.see(prefix, *(seen(60 + n, 700 + n, who=20 + n, device=2) for n in range(5)))
    world.topics[DECISIONS].append(decision_of(seen(102, 1202), links=[LINK]))
    await world.ledger(prefix).observe(seen(102, 1202))
    await world.desk(prefix).book.write(None, [link_codec.from_document(LINK)])


def without_answers(dump: dict[str, Any]) -> dict[str, Any]:
    """The table without what commands were going to do, the entries in the store, and when flags are looked at."""
    return {key: held for key, held in dump.items() if not key.startswith(("command:", "audit:", WHEN_TO_LOOK))}


async def test_a_lost_table_comes_back_as_it_was(world):
    await eventful(world, "old:")
    done = await world.rebuild("new:")
    assert done.unreadable == 0
    assert (done.flag_events, done.audit_entries) == (len(world.topics[FLAGS]), len(world.topics[AUDIT]))
    assert done.observations == len(world.topics[DECISIONS])
    old, new = world.dump("old:"), world.dump("new:")
    assert without_answers(new) == without_answers(old)
    assert {key for key in new if key.startswith(WHEN_TO_LOOK)} == {key for key in old if key.startswith(WHEN_TO_LOOK)}
    assert len(without_answers(new)) > 10
    written = {f"abuse:{key.partition(':{')[0]}" for key in new}
    assert written == {record.name for record in RECORDS if record.rebuilt_from}


async def test_on_a_table_that_is_there_it_changes_nothing(world):
    await eventful(world, "old:")
    before = world.dump("old:")
    await world.rebuild("old:")
    assert world.dump("old:") == before


async def test_once_more_changes_nothing(world):
    await eventful(world, "old:")
    first = await world.rebuild("new:")
    before = world.dump("new:")
    assert await world.rebuild("new:") == first
    assert world.dump("new:") == before


async def test_everything_rebuilt_expires(world):
    await eventful(world, "old:")
    await world.rebuild("new:")
    assert all(world.client.ttl(key) > 0 for key in world.client.scan_iter(match="new:*"))


async def test_the_order_of_records_does_not_matter(world):
    await eventful(world, "old:")
    for values in world.topics.values():
        values.reverse()
    await world.rebuild("new:")
    old, new = (without_answers(world.dump(prefix)) for prefix in ("old:", "new:"))
    assert {key: new[key] for key in new if not key.startswith(INDEX)} == {
        key: old[key] for key in old if not key.startswith(INDEX)
    }
    assert len(await flags_listed(world, "old:")) > 1
    assert await flags_listed(world, "new:") == await flags_listed(world, "old:"), "stale entries are left out"


async def flags_listed(world: World, prefix: str) -> list[tuple[str, str]]:
    queries = Queries(ledger=world.ledger(prefix), links=InMemoryLinkStore(), patience=RetryPolicy(), at_most_s=10)
    selections = (Selection(), Selection(over=True))
    return [
        (flag.flag_id, flag.state) for each in selections async for flag in queries.every_flag(each, at_ms(2 * DAY_S))
    ]


async def test_an_old_command_gets_its_old_answer_and_the_chain_goes_on(world):
    await eventful(world, "old:")
    await world.rebuild("new:")
    table = without_answers(world.dump("new:"))
    again = sent("flag.override", command_id="k-2", subject=about(ME), at_s=900)
    for record in (again, moved(again)):
        (answer,) = await world.desk("new:").obey(record)
        assert answer.value in world.topics[AUDIT]
    assert without_answers(world.dump("new:")) == table
    await world.obey("new:", sent("correlation.reset", command_id="new", correlation_id=guid(7)))
    checked = check(world.entries)
    assert (checked.chains, checked.problems) == (1, ())
    assert world.entries[-1]["number"] == len(world.entries)


async def test_two_tenants_who_chose_one_command_id_each_get_their_own_old_answer(world):
    resets = [sent("correlation.reset", command_id="k", correlation_id=guid(1), tenant=bank) for bank in ("a", "b")]
    for record in resets:
        await world.obey("old:", record)
    assert [entry["tenant"] for entry in world.entries] == ["a", "b"]
    await world.rebuild("new:")
    answers = [await world.desk("new:").obey(moved(record)) for record in resets]
    assert [outputs[-1].value for outputs in answers] == world.topics[AUDIT]


async def test_entries_that_were_decided_later_by_the_clock_but_earlier_in_the_chain(world):
    """Commands of several partitions: the chain goes on behind its last number, not its latest time."""
    for number, at_s in enumerate((300, 200, 100, 200)):
        reset = sent("correlation.reset", command_id=f"r-{number}", correlation_id=guid(number), at_s=at_s)
        await world.obey("old:", reset)
    for number, (at_s, on) in enumerate([(900, True), (800, False), (700, True), (600, False)]):
        rules = {"device_velocity": {"enforced": on}}
        await world.obey("old:", sent("settings.update", command_id=f"s-{number}", at_s=at_s, rules=rules))
    await world.rebuild("new:")
    assert await world.ledger("new:").switches(None) == {"device_velocity": {"enforced": False}}
    await world.obey("new:", sent("correlation.reset", command_id="new", correlation_id=guid(7), at_s=50))
    assert check(world.entries).problems == ()
    assert world.entries[-1]["number"] == 9


async def test_of_two_chains_the_latest_goes_on(world):
    await world.obey("old:", sent("correlation.reset", command_id="r-1", correlation_id=guid(1), at_s=100))
    await world.obey("other:", sent("correlation.reset", command_id="r-2", correlation_id=guid(1), at_s=200))
    await world.rebuild("new:")
    await world.obey("new:", sent("correlation.reset", command_id="r-3", correlation_id=guid(1), at_s=300))
    chains = [entry["chain"] for entry in world.entries]
    assert chains[2] == chains[1] != chains[0]
    assert world.entries[2]["number"] == 2


async def test_a_chain_begun_before_the_rebuild_is_not_left(world):
    await eventful(world, "old:")
    await world.obey("new:", sent("correlation.reset", command_id="early", correlation_id=guid(9)))
    begun = world.entries[-1]["chain"]
    await world.rebuild("new:")
    assert (await world.desk("new:").audit.head()).chain == begun


async def test_switches_said_meanwhile_stay(world):
    """Its answer is not on the topic yet when the topic is read."""
    for on in (True, False):
        rules = {"device_velocity": {"enforced": on}}
        await world.obey("old:", sent("settings.update", command_id=f"s-{on}", rules=rules))
    newer = {"device_velocity": {"enforced": False}, "attack_severity": {"active": False}}
    await world.ledger("old:").switch(None, newer)
    await world.rebuild("old:")
    assert await world.ledger("old:").switches(None) == newer


async def test_more_records_than_one_batch(world):
    world.topics[DECISIONS] = [decision_of(seen(n, n, who=n)) for n in range(2 * BATCH + 7)]
    world.topics[DECISIONS] += [decision_of(None), b'{"abuse": null}']
    done = await world.rebuild("new:")
    assert (done.observations, done.unreadable) == (2 * BATCH + 7, 0)
    assert len(world.dump("new:")) == 2 * BATCH + 7, "a journal each"


# What is none of ours


def changed_event(state: str = "raised", **changes: Any) -> bytes:
    """A flag's event with fields changed; `...` leaves one out."""
    document = {**orjson.loads(flag_events()[0].document), "state": state, **changes}
    return orjson.dumps({name: value for name, value in document.items() if value is not ...})


def test_a_flag_of_other_content_under_the_longest_id_is_ours():
    cause = "s" * 128 + "~0123456789ab"
    assert flag_event_of(changed_event(cause=cause)).cause == cause


FLAG_FIELDS = sorted(orjson.loads(flag_events()[0].document))
NEEDED = [name for name in FLAG_FIELDS if name not in ("policy", "review", "timestamp")]
FOREIGN: list[bytes | None] = [
    None,
    b"",
    b"{",
    b"\xff",
    b"null",
    b"7",
    b"[]",
    b'"text"',
    b"{}",
    b"[" * 400 + b"]" * 400,
]
BAD_FLAGS = [
    *FOREIGN,
    *(changed_event(**{name: ...}) for name in NEEDED),
    *(changed_event(**{name: value}) for name in NEEDED for value in ([], {}, "Zebra \x1b[31m", 1e300)),
    *(changed_event(flag_id=value) for value in ("fl_" + "z" * 24, "", "x y", None, "fl_" + "0" * 24 + "\n")),
    *(changed_event(subject=value) for value in (about(ME) | {"type": "device"}, about(ADDRESS) | {"key": "|}"})),
    *(changed_event(level=value) for value in (0, 4, -1, True, "1", 1.0)),
    *(changed_event(cause=value) for value in ("a b", "", 7)),
    *(changed_event("confirmed", cause=value, review={"at": "2026"}) for value in ("a b", "")),
    changed_event("confirmed"),
    changed_event("confirmed", review={}),
    changed_event("expired", expires_at="2026-01-01"),
    changed_event(evidence={"used": "many", "limit": 1, "window_s": 1}),
    changed_event(refusal={"kind": "banned", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize("value", BAD_FLAGS)
async def test_a_flag_event_none_of_ours_is_counted_and_left_out(topics, value):
    ledger, good = InMemoryLedger(), flag_events(subject=OTHER)[0]
    topics[FLAGS] = [value, good.document]
    done = await rebuilt(ledger)
    assert (done.flag_events, done.unreadable) == (1, 1)
    assert list(ledger.locators) == [good.flag_id]
    assert len(ledger.fields) == 1


BAD_DECISIONS = [
    *FOREIGN,
    orjson.dumps({"abuse": {"observation": {}}}),
    orjson.dumps({"abuse": "text"}),
    *(
        decision_of(seen(address=1), **{name: value})
        for name in ("at", "counted_as", "finding", "severity", "species", "subjects")
        for value in (None, [7], {"x": 1}, "a b", -1)
    ),
    *(decision_of(seen(), severity=value) for value in (1.01, -0.01, 1e300)),
    decision_of(seen(address=1), severity="0.5"),
    decision_of(seen(address=1), subjects=[{"type": "address", "key": "203.0.113.7"}]),
    decision_of(seen(address=1), at="1969-01-01T00:00:00Z"),
    decision_of(seen(correlation_id="a b")),
    decision_of(seen(correlation_id=guid(1).upper().replace("0000-4", "ABCD-4"))),
    decision_of(seen(session_id="a b")),
    decision_of(seen(tenant="a|b")),
]


@pytest.mark.parametrize("value", BAD_DECISIONS)
async def test_a_decision_none_of_ours_is_counted_and_left_out(topics, value):
    ledger = InMemoryLedger()
    topics[DECISIONS] = [value, decision_of(seen(2, who=2))]
    done = await rebuilt(ledger)
    assert (done.observations, done.unreadable) == (1, 1)
    assert list(ledger.journals) == [(("", SubjectType.CORRELATION_ID, guid(2)), 0)]


def entry_with(changed: Any, **changes: Any) -> bytes:
    return sealed(entry_of(1, changed=changed, **changes), Head(chain="one"))


def forged(**changes: Any) -> bytes:
    entry = orjson.loads(entry_with({"after": {"device_velocity": {"active": False}}, "before": {}}))
    return orjson.dumps({**entry, **changes})


BAD_ENTRIES = [
    *FOREIGN,
    forged(actor="mallory"),
    forged(number=2),
    *(entry_with({"before": {}, "after": after}) for after in (7, [], {"x": {}}, {"device_velocity": 7})),
    *(entry_with({"before": {}, "after": {"device_velocity": on}}) for on in ({"x": True}, {"active": 1})),
    entry_with({"after": {"device_velocity": {"active": True}}}),
    *(entry_with({"cleared": cleared}) for cleared in (7, {}, {"type": "x", "key": "y"}, about(ME) | {"key": "|}"})),
    entry_with({"cleared": about(ME)}, at="yesterday"),
    entry_with({"cleared": about(ME)}, tenant="a|b"),
]


@pytest.mark.parametrize("value", BAD_ENTRIES)
async def test_an_entry_none_of_ours_is_counted_and_left_out(topics, value):
    ledger, log = InMemoryLedger(), InMemoryCommandLog()
    topics[AUDIT] = [value]
    done = await rebuilt(ledger, log)
    assert (done.audit_entries, done.unreadable) == (0, 1)
    assert (ledger.fields, ledger.switched, log.kept) == ({}, {}, {})


async def test_a_forged_entry_beside_the_true_one_is_left_out(world):
    await world.obey("old:", sent("settings.update", rules={"device_velocity": {"enforced": True}}))
    entry = world.entries[0]
    rules = {"excessive_retries": {"enforced": False}}
    entry["changed"] = {"before": {}, "after": rules}
    world.topics[AUDIT].append(orjson.dumps(entry))
    done = await world.rebuild("new:")
    assert (done.audit_entries, done.unreadable) == (1, 1)
    assert await world.ledger("new:").switches(None) == {"device_velocity": {"enforced": True}}
    assert digest(entry) != entry["sha256"]


async def test_a_repeat_of_an_entry_counts_once(world):
    await world.obey("old:", sent("correlation.reset", correlation_id=guid(1)))
    world.topics[AUDIT] *= 3
    done = await world.rebuild("new:")
    assert (done.audit_entries, done.unreadable) == (1, 0)
    assert await world.desk("new:").audit.head() == head_after(world.topics[AUDIT][0] or b"")


async def test_the_rebuilt_table_refuses_whom_the_old_one_refused(world):
    await eventful(world, "old:")
    await world.rebuild("new:")
    subjects: Sequence = [ME, OTHER, correlation(guid(3)), ADDRESS]
    for tenant in (None, "acme"):
        old, new = [await world.ledger(prefix).read_history(tenant, subjects) for prefix in ("old:", "new:")]
        assert new == old
        assert [f.refusal_at(at_ms(2000)) for f in new.flags] == [f.refusal_at(at_ms(2000)) for f in old.flags]
        assert new.flags


async def test_who_was_erased_does_not_come_back(world):
    await world.see("a:", *series(every(1, 6), device=1, address=1), *series(every(1, 6), who=2, device=1))
    await world.obey("a:", sent("subject.erase", subject=about(ME)))
    await world.see("a:", seen(77, 2000, device=1))
    await world.rebuild("b:")
    held = {name: value for name, value in world.dump("b:").items() if guid(1) in name or guid(1) in repr(value)}
    assert {line.rpartition(b" ")[2] for name, lines in held.items() if "journal" in name for line, _ in lines} >= {
        b"sub-77"
    }
    assert not any(name.startswith("flags:") for name in held)
    history = await world.ledger("b:").history(None, ME)
    assert [attempt.submission_id for attempt in history.attempts] == ["sub-77"]
    other = await world.ledger("b:").history(None, OTHER)
    assert len(other.attempts) == 6
    assert other.flags


def names_me(world: World, prefix: str) -> bool:
    return any(guid(1) in f"{name} {value!r}" for name, value in world.dump(prefix).items() if "command" not in name)


@pytest.fixture
def erased_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> Record:
    """What is sent and carried out once the receipts are read, before anything is written."""
    erasure = sent("subject.erase", subject=about(ME), command_id="while-rebuilding", at_s=3000)
    read = Rebuild._erased

    async def then_erased(self: Rebuild) -> Any:
        receipts = await read(self)
        await world.obey("b:", erasure)
        return receipts

    monkeypatch.setattr(Rebuild, "_erased", then_erased)
    return erasure


async def test_an_erasure_that_meets_a_rebuild_is_carried_out_again(world, erased_meanwhile):
    await world.see("a:", *series(every(1, 6), device=1, address=1), *series(every(1, 6), who=2, device=1))
    await world.rebuild("b:")
    assert not names_me(world, "b:")
    other = await world.ledger("b:").history(None, OTHER)
    assert len(other.attempts) == 6
    assert other.flags


async def test_without_that_it_would_be_back(world, erased_meanwhile, monkeypatch):
    """The test above looks where it would be."""

    async def nothing(self: Rebuild, before: object) -> None:
        pass

    monkeypatch.setattr(Rebuild, "_erase_again", nothing)
    await world.see("a:", *series(every(1, 6), device=1, address=1))
    await world.rebuild("b:")
    assert names_me(world, "b:")


async def test_an_erasure_nobody_has_begun_is_the_worker_s(world):
    """Its receipt counts what it finds."""
    await world.see("a:", *series(every(1, 6), device=1, address=1))
    world.topics[COMMANDS].append(sent("subject.erase", subject=about(ME)))
    await world.rebuild("b:")
    assert names_me(world, "b:")


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", orjson.dumps({"command": "subject.erase"})])
async def test_a_command_none_of_ours_erases_nothing(topics, value):
    topics[COMMANDS].append(value)
    await rebuilt(InMemoryLedger())


# --- links


def test_a_link_of_a_decision_there_and_back():
    one, other = (
        SubmissionRef(at_ms=at_ms(at_s), submission_id=f"sub-{at_s}", correlation_id=guid(at_s)) for at_s in (1, 2)
    )
    face = Link(kind=LinkKind.FACE, earlier=one, later=other, distance=0.3217, threshold=0.48, gallery=9, expected=0.01)
    decision = {"tenant": "acme", "abuse": {"links": [link_codec.to_document(face)]}}
    assert links_of(orjson.dumps(decision)) == ("acme", (face,))


LINK = {
    "kind": "face",
    "ends": [
        {
            "correlation_id": guid(n),
            "session": None,
            "submission": f"s-{n}",
            "when": f"2026-01-0{n}T00:00:00.000Z",
            "spoof": False,
        }
        for n in (1, 2)
    ],
    "distance": 0.3,
    "threshold": 0.5,
    "gallery": 3,
    "expected_false_links": 0.01,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "friends"},
        {"ends": LINK["ends"][::-1]},
        {"ends": LINK["ends"][:1]},
        {"ends": [LINK["ends"][0], {**LINK["ends"][1], "correlation_id": "|}"}]},
        {"ends": [LINK["ends"][0], {**LINK["ends"][1], "submission": "a b"}]},
        {"ends": [LINK["ends"][0], {**LINK["ends"][1], "session": 7}]},
        {"distance": "near"},
        {"gallery": None},
        {"expected_false_links": []},
    ],
)
def test_a_link_nobody_here_wrote_is_left_out(changes):
    assert links_of(orjson.dumps({"tenant": None, "abuse": {"links": [LINK]}}))[1]
    with pytest.raises(NOT_OURS):
        links_of(orjson.dumps({"tenant": None, "abuse": {"links": [{**LINK, **changes}]}}))
