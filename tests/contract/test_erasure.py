"""The contract of erasing from the abuse table, the link store and the decision store: in memory, on the embedded
Redis, a real one and a real cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from abuse.flags.flag_events import Review, rescored
from abuse.flags.flags import FlagEvent
from abuse.ledger.flag_index import ALL_TENANTS, Selection
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.link_store import InMemoryLinkStore, LinkStore
from abuse.links.links import LINKS_KEPT, Link, LinkKind
from abuse.links.redis_link_store import RedisLinkStore
from abuse.review.erasure import InMemoryLedgerErasure, LedgerErasure, Traces
from abuse.review.redis_erasure import RedisLedgerErasure
from abuse.subjects import Subject, SubjectType, correlation
from abuse.submission_ref import SubmissionRef
from stream.events.message.ids import SubmissionIds
from stream.pipeline.decision_store import DecisionStore, InMemoryDecisionStore, StoredDecision
from stream.redis.decision_store import RedisDecisionStore
from tests.contract.redis_servers import RedisServer
from tests.unit.abuse.builders import DAY_S, guid, seen, subject
from tests.unit.stream.review.command_cases import FLAG_TTL_S, flag_events

ME, OTHER, THIRD = (correlation(guid(number)) for number in (1, 2, 3))
DEVICE = subject(SubjectType.DEVICE, 1)
USED = {"device": 1, "address": 1, "prefix": 1}


@dataclass(frozen=True, slots=True)
class Held:
    ledger: Ledger
    erasure: LedgerErasure
    links: LinkStore
    decisions: DecisionStore


@pytest.fixture
def held(any_redis: RedisServer | None) -> Held:
    if any_redis is None:
        ledger = InMemoryLedger()
        return Held(ledger, InMemoryLedgerErasure(ledger), InMemoryLinkStore(), InMemoryDecisionStore())
    calls, prefix = any_redis.connect(), any_redis.prefix
    return Held(
        RedisLedger(calls, prefix, FLAG_TTL_S),
        RedisLedgerErasure(calls, prefix),
        RedisLinkStore(calls, prefix, DAY_S * 1000),
        RedisDecisionStore(calls, prefix, 3600),
    )


def naming(event: FlagEvent, *linked: Subject) -> FlagEvent:
    document = orjson.loads(event.document)
    document["evidence"]["linked"] = [
        {"correlation_id": each.key, "session": None, "submission": f"of-{each.key}", "when": "", "why": "same face: x"}
        for each in linked
    ]
    return replace(event, document=orjson.dumps(document))


async def lines_of(held: Held, subject: Subject) -> list[str]:
    return [attempt.correlation_id for attempt in (await held.ledger.history(None, subject)).attempts]


async def test_lines_go_from_every_journal_they_were_written_to_and_others_stay(held):
    for number in range(20):
        await held.ledger.observe(seen(number, number, who=1 + number % 2, **USED))
    assert await held.erasure.held(None, ME) == Traces(journal_lines=40)
    await held.erasure.erase(None, ME)
    assert await lines_of(held, ME) == []
    for kind in (SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX):
        assert await lines_of(held, subject(kind, 1)) == [OTHER.key] * 10
    assert await lines_of(held, OTHER) == [OTHER.key] * 10
    assert await held.erasure.held(None, ME) == Traces()
    assert await held.erasure.held(None, OTHER) == Traces(journal_lines=40)


async def test_flags_go_with_everything_that_leads_to_them(held):
    """The subject is as new: what a reviewer said of it goes too."""
    for each in (ME, DEVICE):
        assert await held.erasure.held(None, each) == Traces()
        await held.erasure.erase(None, each)
    await held.ledger.clear(None, ME, "cleared c-1", "5")
    events = [*flag_events(subject=ME, level=2), *flag_events(subject=OTHER)]
    await held.ledger.record(events)
    mine, theirs = events[0].flag_id, events[-1].flag_id
    assert await held.erasure.held(None, ME) == Traces(flags=1)
    await held.erasure.erase(None, ME)
    history = await held.ledger.history(None, ME)
    assert (history.flags, history.cleared_at_ms, await held.ledger.locate(mine)) == ((), -1, None)
    for scope in (ALL_TENANTS, None):
        listing = await held.ledger.listed(Selection(scope=scope, over=True), None, 10)
        assert [entry.flag_id for entry in listing.entries] == [theirs]
    assert [await held.ledger.was_erased(name) for name in (mine, theirs)] == [True, False]


async def test_others_flags_no_longer_name_it(held):
    event = naming(flag_events(subject=OTHER)[0], ME, OTHER, THIRD)
    on_device = naming(flag_events(subject=DEVICE)[0], OTHER)
    await held.ledger.record([event, on_device])
    assert await held.erasure.held(None, ME) == Traces(mentions=1)
    await held.erasure.erase(None, ME)
    known = await held.ledger.read_history(None, [OTHER, DEVICE])
    flag, other = known.flags
    assert ME.key.encode() not in flag.documents[-1]
    linked = flag.event["evidence"]["linked"]
    assert [(each["correlation_id"], each["why"]) for each in linked] == [
        (OTHER.key, "same face"),
        (THIRD.key, "same face"),
    ]
    assert other.documents == (on_device.document,)
    assert await held.erasure.held(None, ME) == Traces()


async def test_others_flags_no_longer_say_that_a_reviewer_confirmed_it(held):
    raised = flag_events(subject=OTHER)[0]
    await held.ledger.record([raised])
    (flag,) = (await held.ledger.read_history(None, [OTHER])).flags
    review = Review(command_id="c-1", actor="ann", reason="fraud", note="", at_ms=flag.last_ms)
    risen = rescored(flag, review, ME.key)
    assert risen is not None
    await held.ledger.record([risen])
    assert await held.erasure.held(None, ME) == Traces(mentions=1)
    await held.erasure.erase(None, ME)
    (flag,) = (await held.ledger.read_history(None, [OTHER])).flags
    assert flag.level == 2
    assert all(ME.key.encode() not in document for document in flag.documents)
    assert flag.event["evidence"]["counts"] == orjson.loads(raised.document)["evidence"]["counts"]
    assert await held.erasure.held(None, ME) == Traces()


async def test_a_device_goes_under_all_its_keys(held):
    former = subject(SubjectType.DEVICE, 2, 1)
    await held.ledger.observe(seen(1, who=1, device=1))
    await held.ledger.observe(seen(2, 1, who=2, device=2))
    await held.ledger.record([naming(flag_events(subject=DEVICE)[0], ME)])
    assert await held.erasure.held(None, former) == Traces(journal_lines=2, flags=1)
    await held.erasure.erase(None, former)
    assert await held.erasure.held(None, former) == Traces()
    assert await lines_of(held, ME) == [ME.key], "the persons' own journals stay"
    assert await held.erasure.held(None, ME) == Traces(journal_lines=1)


async def test_tenants_are_apart(held):
    await held.ledger.observe(seen(1, tenant="acme", **USED))
    await held.ledger.record(flag_events(tenant="acme"))
    await held.erasure.erase(None, ME)
    assert await held.erasure.held("acme", ME) == Traces(journal_lines=4, flags=1)


def linked(one: str, other: str, number: int = 1) -> Link:
    earlier, later = (
        SubmissionRef(at_ms=number, submission_id=f"{name}-{number}", correlation_id=name) for name in (one, other)
    )
    return Link(kind=LinkKind.FACE, earlier=earlier, later=later)


async def test_links_go_from_both_ends_even_those_that_one_end_dropped(held):
    await held.links.write(None, [linked("me", "old", 0)])
    await held.links.write(None, [linked("me", "other", number) for number in range(1, LINKS_KEPT + 5)])
    await held.links.write(None, [linked("other", "third", 9_999)])
    assert await held.links.forget(None, "me", ["other", "old"]) == LINKS_KEPT + 1
    links = await held.links.of(None, ["me", "other", "old", "third"])
    assert {name: len(each) for name, each in links.items()} == {"me": 0, "other": 1, "old": 0, "third": 1}
    assert await held.links.forget(None, "me", ["other"]) == 0


def decision(name: str, *links: tuple[str, str]) -> StoredDecision:
    ends = [{"ends": [{"correlation_id": one}, {"correlation_id": other}]} for one, other in links]
    return StoredDecision("a" * 32, orjson.dumps({"correlation_id": name, "abuse": {"links": ends}}))


def ids(name: str, number: int = 1, **changes: Any) -> SubmissionIds:
    return SubmissionIds(submission_id=f"{name}-{number}", correlation_id=name, **changes)


async def test_decisions_are_found_by_whose_they_are(held):
    store = held.decisions
    for number in range(3):
        await store.put_if_absent(ids("me", number), decision("me"))
    await store.put_by_fingerprint(ids("me", 0), replace(decision("me"), fingerprint="b" * 32))
    await store.put_if_absent(ids("other"), decision("other"))
    await store.put_if_absent(ids("me", 7, tenant="acme"), decision("me"))
    assert await store.held(None, "me") == 4
    assert await store.forget(None, "me") == 4
    assert await store.forget(None, "me") == 0
    assert await store.find(ids("me", 1)) is None
    assert await store.find(ids("other")) == decision("other")
    assert await store.held("acme", "me") == 1


async def test_a_submission_id_somebody_else_owns_stays_theirs(held):
    theirs = ids("other")
    await held.decisions.put_if_absent(theirs, decision("other"))
    await held.decisions.put_if_absent(
        replace(theirs, correlation_id="me"), replace(decision("me"), fingerprint="b" * 32)
    )
    assert await held.decisions.held(None, "me") == 0
    assert await held.decisions.forget(None, "me") == 0
    assert await held.decisions.find(theirs) == decision("other")


async def test_decisions_of_others_lose_their_links_to_it_and_nothing_else(held):
    store = held.decisions
    await store.put_if_absent(ids("other"), decision("other", ("me", "other"), ("other", "third")))
    await store.put_if_absent(ids("third"), decision("third", ("other", "third")))
    await store.unlink(None, "me", ["other", "third", "nobody"])
    assert await store.find(ids("other")) == decision("other", ("other", "third"))
    assert await store.find(ids("third")) == decision("third", ("other", "third"))
    assert await store.put_if_absent(ids("other"), decision("other", ("me", "other"))) == decision(
        "other", ("other", "third")
    )
