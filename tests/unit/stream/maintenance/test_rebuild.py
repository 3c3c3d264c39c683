"""Rebuilds from the topics: the table as it was, in the order of decisions, without foreign records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
import redis

from abuse import observation_codec
from abuse.event_time import iso8601
from abuse.flags.flags import HIGHEST_GROWTH
from abuse.ledger.flag_index import Selection
from abuse.ledger.ledger import InMemoryLedger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links import link_codec
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.redis_link_store import RedisLinkStore
from abuse.observation import Finding, Observation
from abuse.redis_port import RedisClient
from abuse.review.audit import Head, InMemoryAuditLog, InMemoryCommandLog, check, digest, head_after, sealed
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.review.redis_erasure import RedisLedgerErasure
from abuse.subjects import SubjectType
from config.settings import Settings
from stream.events.message.messages import Record
from stream.maintenance import rebuild
from stream.maintenance.rebuild import BATCH, Rebuild, Rebuilt
from stream.maintenance.rebuild_records import NOT_OURS, flag_event_of, links_of
from stream.maintenance.store_records import RECORDS
from stream.pipeline.decision_store import InMemoryDecisionStore
from stream.review.queries import Queries
from stream.runtime.patience import RetryPolicy
from stream.sessions.session_store import InMemorySessionStore
from tests.embedded_redis import dump
from tests.unit.abuse.builders import DAY_MS, DAY_S, Table, at_ms, every, guid, seen, series, subject
from tests.unit.abuse.review.test_audit import entry_of
from tests.unit.stream.review.command_cases import (
    FLAG_TTL_S,
    ME,
    OTHER,
    Reviewer,
    about,
    flag_events,
    moved,
    published,
    sent,
)
from tests.unit.stream.sessions.builders import desk

DECISIONS, FLAGS, AUDIT = "liveness.decisions", "liveness.abuse-flags", "liveness.audit"
COMMANDS = "liveness.commands"
ADDRESS = subject(SubjectType.ADDRESS, 1)
WHEN_TO_LOOK = "due:"
INDEX = "flag-index:"
SETTINGS = Settings()

Topics = dict[str, list[Any]]


@dataclass
class Installation:
    """A table on Redis under a prefix, and the topics that all installations share."""

    client: redis.Redis
    calls: RedisClient
    topics: Topics
    prefix: str

    @property
    def ledger(self) -> RedisLedger:
        return RedisLedger(self.calls, self.prefix, FLAG_TTL_S)

    @property
    def reviewer(self) -> Reviewer:
        return Reviewer(
            self.ledger,
            RedisCommandLog(self.calls, self.prefix),
            RedisAuditLog(self.calls, self.prefix),
            RedisLinkStore(self.calls, self.prefix, ttl_ms=DAY_MS),
            traces=RedisLedgerErasure(self.calls, self.prefix),
            sessions=desk(self.ledger, InMemorySessionStore()),
        )

    async def rebuild(self) -> Rebuilt:
        reviewer = self.reviewer
        stores = {"ledger": reviewer.ledger, "links": reviewer.links, "audit": reviewer.audit, "commands": reviewer.log}
        stores["decisions"] = reviewer.decisions
        rebuild = Rebuild(settings=SETTINGS, patience=RetryPolicy(), erasures=reviewer.erasures, **stores)
        return await rebuild.run()

    def dump(self) -> dict[str, Any]:
        """All keys under the prefix and what they hold."""
        held = dump(self.client, self.prefix)
        return {key.removeprefix(f"{self.prefix}abuse:"): value for key, value in held.items()}

    def dump_rebuildable(self) -> dict[str, Any]:
        """The table without answers to commands, audit entries, and when flags are looked at."""
        left_out = ("command:", "audit:", WHEN_TO_LOOK)
        return {key: held for key, held in self.dump().items() if not key.startswith(left_out)}

    async def see(self, *observations: Observation) -> None:
        """Observed and published, as the decide stage does it."""
        table = Table(ledger=self.ledger)
        await table.see(*observations)
        self.topics[DECISIONS] += [decision_of(each) for each in observations]
        self.topics[FLAGS] += [event.document for event in table.recorded]

    async def obey(self, command: str, **fields: Any) -> None:
        record = sent(command, **fields)
        self.topics[COMMANDS].append(record)
        outputs = await self.reviewer.obey(record)
        self.topics[FLAGS] += [output.value for output in published(outputs, "flags")]
        self.topics[AUDIT].append(outputs[-1].value)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [orjson.loads(value or b"") for value in self.topics[AUDIT]]


def decision_of(observation: Observation | None, links: Sequence[Any] = (), **changes: Any) -> bytes:
    document = None if observation is None else observation_codec.to_document(observation)
    who = observation or seen()
    ids = {"tenant": who.tenant, "correlation_id": who.correlation_id, "session_id": who.session_id}
    ids |= {"submission_id": who.submission_id, "resource_id": None}
    made = {"request_id": f"lv_{'0' * 16}", "timestamp": iso8601(who.at_ms), "error": None}
    return orjson.dumps({**ids, **made, "abuse": {"observation": document and {**document, **changes}, "links": links}})


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """The topics that a rebuild reads: values, or whole records where their time counts."""
    held: Topics = {name: [] for name in (DECISIONS, FLAGS, AUDIT, COMMANDS)}

    class Source:
        def __init__(self, topic: str) -> None:
            self.topic = topic

        async def until_end(self, since_ms: int | None = None) -> AsyncIterator[Record]:
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
def installations(calls: RedisClient, empty_redis: str, topics: Topics) -> Iterator[Callable[[str], Installation]]:
    client = redis.Redis.from_url(empty_redis)
    yield lambda name: Installation(client, calls, topics, f"{name}:")
    client.close()


@pytest.fixture
def old(installations: Callable[[str], Installation]) -> Installation:
    return installations("old")


@pytest.fixture
def new(installations: Callable[[str], Installation]) -> Installation:
    return installations("new")


@pytest.fixture
async def eventful(old: Installation) -> Installation:
    """Pauses, a shared address, devices and a link; a confirmation, an override, a reset, switches for two tenants."""
    await old.see(*series(every(10, 5), address=1, prefix=1, device=1))
    await old.see(*(seen(50 + n, 20 * n, who=2, finding=Finding.SPOOF, severity=0.9) for n in range(9)))
    await old.see(*(seen(90 + n, 500 + n, who=3, tenant="acme", address=2) for n in range(6)))
    await old.obey("flag.confirm", command_id="k-1", subject=about(OTHER), at_s=800)
    await old.obey(**OVERRIDE)
    await old.obey("correlation.reset", command_id="k-3", correlation_id=guid(3), tenant="acme")
    for number, on in enumerate((True, False, True, False)):
        rules = {"device_velocity": {"enforced": on}, "attack_severity": {"active": on}}
        await old.obey("settings.update", command_id=f"s-{number}", rules=rules, tenant="acme")
    await old.obey("settings.update", command_id="s-9", rules={"attack_severity": {"enforced": True}})
    await old.obey("flag.confirm", command_id="k-4", subject=about(ME), at_s=1100)
    await old.see(seen(100, 1200), seen(101, 1201, address=1))
    await old.see(*(seen(60 + n, 700 + n, who=20 + n, device=2) for n in range(5)))
    old.topics[DECISIONS].append(decision_of(seen(102, 1202), links=[LINK]))
    await old.ledger.observe(seen(102, 1202))
    await old.reviewer.links.write(None, [link_codec.from_document(LINK)])
    return old


OVERRIDE = {"command": "flag.override", "command_id": "k-2", "subject": about(ME), "at_s": 900}
RESET = {"command": "correlation.reset", "correlation_id": guid(1)}


async def test_lost_table_comes_back(eventful, new):
    done = await new.rebuild()
    topics = eventful.topics
    assert done.unreadable == 0
    assert (done.flag_events, done.audit_entries) == (len(topics[FLAGS]), len(topics[AUDIT]))
    assert done.observations == len(topics[DECISIONS])
    held = new.dump_rebuildable()
    assert held == eventful.dump_rebuildable()
    assert len(held) > 10
    due = [{key for key in each.dump() if key.startswith(WHEN_TO_LOOK)} for each in (eventful, new)]
    assert due[0] == due[1]
    assert all(new.client.ttl(key) > 0 for key in new.client.scan_iter(match="new:*"))
    written = {f"abuse:{key.partition(':{')[0]}" for key in new.dump()}
    assert written == {each.name for each in RECORDS if each.rebuilt_from and each.name.startswith("abuse:")}


async def test_rebuilding_again_changes_nothing(eventful, new):
    """Neither a table that is there, nor one that was just rebuilt."""
    before = eventful.dump()
    done = await eventful.rebuild()
    assert eventful.dump() == before
    assert await new.rebuild() == done
    before = new.dump()
    assert await new.rebuild() == done
    assert new.dump() == before


async def test_order_of_records_is_free(eventful, new):
    """Entries of the index may differ; the flags that a reader finds by them don't."""
    for values in eventful.topics.values():
        values.reverse()
    await new.rebuild()
    dumps = [each.dump_rebuildable().items() for each in (eventful, new)]
    before, after = ({key: held for key, held in dump if not key.startswith(INDEX)} for dump in dumps)
    assert after == before
    listed = await flags_listed(eventful)
    assert len(listed) > 1
    assert await flags_listed(new) == listed


async def flags_listed(installation: Installation) -> list[tuple[str, str]]:
    queries = Queries(ledger=installation.ledger, links=InMemoryLinkStore(), patience=RetryPolicy(), at_most_s=10)
    pages = [queries.every_flag(each, at_ms(2 * DAY_S)) for each in (Selection(), Selection(over=True))]
    return [(flag.flag_id, flag.state) for flags in pages async for flag in flags]


async def test_old_command_gets_old_answer(eventful, new):
    """And the chain goes on."""
    await new.rebuild()
    table, again = new.dump_rebuildable(), sent(**OVERRIDE)
    for record in (again, moved(again)):
        (answer,) = await new.reviewer.obey(record)
        assert answer.value in new.topics[AUDIT]
    assert new.dump_rebuildable() == table
    await new.obey("correlation.reset", command_id="new", correlation_id=guid(7))
    checked = check(new.entries)
    assert (checked.chains, checked.problems) == (1, ())
    assert new.entries[-1]["number"] == len(new.entries)


async def test_tenants_share_a_command_id(old, new):
    for bank in ("a", "b"):
        await old.obey(**RESET, command_id="k", tenant=bank)
    assert [entry["tenant"] for entry in old.entries] == ["a", "b"]
    await new.rebuild()
    answers = [await new.reviewer.obey(moved(record)) for record in new.topics[COMMANDS]]
    assert [outputs[-1].value for outputs in answers] == new.topics[AUDIT]


async def test_numbers_order_a_chain(old, new):
    """Commands of several partitions: the chain goes on behind its last number, not its latest time."""
    for number, at_s in enumerate((300, 200, 100, 200)):
        await old.obey("correlation.reset", command_id=f"r-{number}", correlation_id=guid(number), at_s=at_s)
    for number, (at_s, on) in enumerate([(900, True), (800, False), (700, True), (600, False)]):
        rules = {"device_velocity": {"enforced": on}}
        await old.obey("settings.update", command_id=f"s-{number}", at_s=at_s, rules=rules)
    await new.rebuild()
    assert await new.ledger.switches(None) == {"device_velocity": {"enforced": False}}
    await new.obey("correlation.reset", command_id="new", correlation_id=guid(7), at_s=50)
    assert check(new.entries).problems == ()
    assert new.entries[-1]["number"] == 9


async def test_latest_of_chains_goes_on(old, new, installations):
    for each, at_s in ((old, 100), (installations("other"), 200)):
        await each.obey(**RESET, command_id=f"r-{at_s}", at_s=at_s)
    await new.rebuild()
    await new.obey(**RESET, command_id="r-300", at_s=300)
    chains = [entry["chain"] for entry in new.entries]
    assert chains[2] == chains[1] != chains[0]
    assert new.entries[2]["number"] == 2


async def test_begun_chain_is_not_left(eventful, new):
    await new.obey("correlation.reset", command_id="early", correlation_id=guid(9))
    begun = new.entries[-1]["chain"]
    await new.rebuild()
    assert (await new.reviewer.audit.head()).chain == begun


async def test_switches_made_meanwhile_stay(old):
    """The answer is not on the topic yet when the topic is read."""
    for on in (True, False):
        await old.obey("settings.update", command_id=f"s-{on}", rules={"device_velocity": {"enforced": on}})
    newer = {"device_velocity": {"enforced": False}, "attack_severity": {"active": False}}
    await old.ledger.switch(None, newer)
    await old.rebuild()
    assert await old.ledger.switches(None) == newer


async def test_defaults_of_sessions_come_back(old, new):
    """Above all that a tenant's submissions need a token."""
    for number, wanted in enumerate(({"required": True, "attempts": 2}, {"liveness_challenges": ["blink"]})):
        await old.obey("settings.update", command_id=f"s-{number}", sessions=wanted, tenant="acme")
    await old.obey("settings.update", command_id="s-9", rules={"device_velocity": {"enforced": True}}, tenant="acme")
    done = await new.rebuild()
    expected = {"required": True, "attempts": 2, "liveness_challenges": ["blink"]}
    assert await new.ledger.switches("acme") == {"sessions": expected, "device_velocity": {"enforced": True}}
    entry = old.entries[0]
    entry["changed"]["after"]["sessions"]["attempts"] = 99
    new.topics[AUDIT] = [orjson.dumps({**entry, "sha256": digest(entry)})]
    assert ((await new.rebuild()).unreadable, done.unreadable) == (1, 0)


async def test_more_records_than_a_batch(new):
    new.topics[DECISIONS] = [decision_of(seen(n, n, who=n)) for n in range(2 * BATCH + 7)]
    new.topics[DECISIONS] += [decision_of(None)]
    done = await new.rebuild()
    assert (done.observations, done.unreadable) == (2 * BATCH + 7, 0)
    assert len(new.dump()) == 2 * BATCH + 7, "a journal each"


async def test_forged_and_repeated_entries_are_left_out(old, new):
    """A forged entry beside the true one."""
    await old.obey("settings.update", rules={"device_velocity": {"enforced": True}})
    entry = old.entries[0]
    entry["changed"] = {"before": {}, "after": {"excessive_retries": {"enforced": False}}}
    old.topics[AUDIT] = [*old.topics[AUDIT] * 3, orjson.dumps(entry)]
    done = await new.rebuild()
    assert (done.audit_entries, done.unreadable) == (1, 1)
    assert await new.ledger.switches(None) == {"device_velocity": {"enforced": True}}
    assert await new.reviewer.audit.head() == head_after(old.topics[AUDIT][0] or b"")


# Erasures

MINE = series(every(1, 6), device=1, address=1)
THEIRS = series(every(1, 6), who=2, device=1)
ERASURE = {"command": "subject.erase", "subject": about(ME)}


def names_me(installation: Installation) -> bool:
    held = installation.dump().items()
    return any(guid(1) in f"{name} {value!r}" for name, value in held if "command" not in name)


async def others_are_whole(installation: Installation) -> None:
    other = await installation.ledger.history(None, OTHER)
    assert len(other.attempts) == 6
    assert other.flags


async def test_erased_subjects_stay_erased(old, new):
    """Records from after the erasure are there by right."""
    await old.see(*MINE, *THEIRS)
    await old.obey(**ERASURE)
    await old.see(seen(77, 2000, device=1))
    await new.rebuild()
    held = {name: value for name, value in new.dump().items() if guid(1) in name or guid(1) in repr(value)}
    lines = {line.rpartition(b" ")[2] for name, lines in held.items() if "journal" in name for line, _ in lines}
    assert b"sub-77" in lines
    assert not any(name.startswith("flags:") for name in held)
    history = await new.ledger.history(None, ME)
    assert [attempt.submission_id for attempt in history.attempts] == ["sub-77"]
    await others_are_whole(new)


async def test_erasure_during_a_rebuild(old, new, monkeypatch):
    """Sent and carried out once the receipts are read, before anything is written: it is carried out once more.
    Without that the subject would be back."""
    read = Rebuild._erased

    async def then_erased(self: Rebuild) -> Any:
        receipts = await read(self)
        await new.obey(**ERASURE, command_id="while-rebuilding", at_s=3000)
        return receipts

    monkeypatch.setattr(Rebuild, "_erased", then_erased)
    await old.see(*MINE, *THEIRS)
    await new.rebuild()
    assert not names_me(new)
    await others_are_whole(new)


async def test_erasure_not_begun_is_the_workers(old, new):
    """The receipt counts what the worker finds."""
    await old.see(*MINE)
    old.topics[COMMANDS].append(sent(**ERASURE))
    await new.rebuild()
    assert names_me(new)


class Memory(InMemoryAuditLog):
    """An audit chain whose restored end is one of entries."""

    async def restore(self, head: Head) -> None:
        assert head.number > 0


async def rebuilt(ledger: InMemoryLedger, log: InMemoryCommandLog | None = None) -> Rebuilt:
    """A rebuild into memory."""
    parts: dict[str, Any] = {"ledger": ledger, "links": InMemoryLinkStore(), "audit": Memory()}
    parts["commands"] = log or InMemoryCommandLog()
    parts["erasures"], parts["decisions"] = Reviewer(ledger).erasures, InMemoryDecisionStore()
    return await Rebuild(settings=SETTINGS, patience=RetryPolicy(), **parts).run()


# Foreign records


def changed_event(state: str = "raised", **changes: Any) -> bytes:
    """A flag's event with fields changed; `...` leaves one out."""
    document = {**orjson.loads(flag_events()[0].document), "state": state, **changes}
    return orjson.dumps({name: value for name, value in document.items() if value is not ...})


def test_longest_cause_is_read():
    cause = "s" * 128 + "~0123456789ab"
    assert flag_event_of(changed_event(cause=cause)).cause == cause


FLAG_FIELDS = sorted(orjson.loads(flag_events()[0].document))
NEEDED = [name for name in FLAG_FIELDS if name not in ("policy", "review", "timestamp")]
FOREIGN = [None, *(b"", b"{", b"\xff", b"null", b"7", b"[]", b'"text"', b"{}", b"[" * 400 + b"]" * 400)]
BAD_FLAGS = [
    *FOREIGN,
    *(changed_event(**{name: ...}) for name in NEEDED),
    *(changed_event(**{name: value}) for name in NEEDED for value in ([], {}, "Zebra \x1b[31m", 1e300)),
    *(changed_event(flag_id=value) for value in ("fl_" + "z" * 24, "", "x y", None, "fl_" + "0" * 24 + "\n")),
    *(changed_event(subject=value) for value in (about(ME) | {"type": "device"}, about(ADDRESS) | {"key": "|}"})),
    *(changed_event(level=value) for value in (0, HIGHEST_GROWTH + 1, -1, True, "1", 1.0)),
    *(changed_event(cause=value) for value in ("a b", "", 7)),
    *(changed_event("confirmed", cause=value, review={"at": "2026"}) for value in ("a b", "")),
    changed_event("confirmed"),
    changed_event("confirmed", review={}),
    changed_event("expired", expires_at="2026-01-01"),
    changed_event(evidence={"used": "many", "limit": 1, "window_s": 1}),
    changed_event(refusal={"kind": "banned", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
]


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


GOOD = {DECISIONS: decision_of(seen(2, who=2)), FLAGS: flag_events(subject=OTHER)[0].document}
BAD = {DECISIONS: BAD_DECISIONS, FLAGS: BAD_FLAGS, AUDIT: BAD_ENTRIES}


@pytest.mark.parametrize("topic", BAD)
async def test_foreign_record_is_counted(topics, topic):
    """And changes nothing: the table is that of the good record behind it."""
    topics[topic] = good = [GOOD[topic]] if topic in GOOD else []
    want = Reviewer()
    await rebuilt(want.ledger)
    for value in BAD[topic]:
        topics[topic] = [value, *good]
        ledger, log = InMemoryLedger(), InMemoryCommandLog()
        done = await rebuilt(ledger, log)
        read = {DECISIONS: done.observations, FLAGS: done.flag_events, AUDIT: done.audit_entries}[topic]
        assert (read, done.unreadable) == (len(good), 1), value
        assert (Reviewer(ledger).table, log.kept) == (want.table, {}), value


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", orjson.dumps({"command": "subject.erase"})])
async def test_foreign_command_erases_nothing(topics, value):
    topics[COMMANDS].append(value)
    await rebuilt(InMemoryLedger())


# Links


def end(n: int) -> dict[str, Any]:
    ids = {"correlation_id": guid(n), "session": None, "submission": f"s-{n}"}
    return {**ids, "when": f"2026-01-0{n}T00:00:00.000Z", "spoof": False}


ENDS = [end(1), end(2)]
FIGURES = {"distance": 0.3, "threshold": 0.5, "gallery": 3, "expected_false_links": 0.01}
LINK = {"kind": "face", "ends": ENDS, **FIGURES}
BAD_ENDS = [{"correlation_id": "|}"}, {"submission": "a b"}, {"session": 7}]


@pytest.mark.parametrize(
    "changes",
    [
        *({"kind": "friends"}, {"distance": "near"}, {"gallery": None}, {"expected_false_links": []}),
        *({"ends": ENDS[::-1]}, {"ends": ENDS[:1]}),
        *({"ends": [ENDS[0], {**ENDS[1], **each}]} for each in BAD_ENDS),
    ],
)
def test_foreign_link_is_left_out(changes):
    link = link_codec.from_document(LINK)
    assert links_of(orjson.dumps({"tenant": "acme", "abuse": {"links": [LINK]}})) == ("acme", (link,))
    with pytest.raises(NOT_OURS):
        links_of(orjson.dumps({"tenant": None, "abuse": {"links": [{**LINK, **changes}]}}))
