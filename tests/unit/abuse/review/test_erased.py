"""Receipts keep erased subjects from coming back in a rebuild."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from abuse.event_time import iso8601
from abuse.flags.flags import FlagEvent
from abuse.review.erased import Erased
from abuse.review.erasure import digest_of
from abuse.subjects import Subject, SubjectType, correlation
from tests.unit.abuse.builders import at_ms, guid, seen, subject
from tests.unit.stream.review.command_cases import flag_events

ME, OTHER, DEVICE = correlation(guid(1)), correlation(guid(2)), subject(SubjectType.DEVICE, 1)


def receipt(about: Subject, at_s: float = 100, tenant: str | None = None) -> dict[str, Any]:
    digests = [digest_of(tenant, about.type, key) for key in about.keys]
    return {"at": iso8601(at_ms(at_s)), "changed": {"erased": {}, "subject": {"type": about.type, "sha256": digests}}}


def erased(*receipts: dict[str, Any]) -> Erased:
    known = Erased()
    for each in receipts:
        known.take(each)
    return known


def naming(event: FlagEvent, *linked: tuple[Subject, float]) -> FlagEvent:
    document = orjson.loads(event.document)
    document["evidence"]["linked"] = [
        {"correlation_id": who.key, "session": None, "submission": "s", "when": iso8601(at_ms(at_s)), "why": "w"}
        for who, at_s in linked
    ]
    return replace(event, document=orjson.dumps(document))


def test_without_receipts_everything_is_as_it_was():
    known = erased({"at": iso8601(at_ms(0)), "changed": {"flags": []}})
    observation, (event,) = seen(1, device=1), flag_events()
    assert known.observation(observation) is observation
    assert known.flag_event(event) is event


def test_what_came_up_to_the_erasure_is_left_out_and_what_came_later_is_not():
    known = erased(receipt(ME))
    assert known.observation(seen(1, 100)) is None
    assert known.observation(seen(1, 100.001)) is not None
    assert known.observation(seen(1, 50, who=2)) is not None
    assert known.observation(seen(1, 50, tenant="acme")) is not None
    assert known.flag_event(flag_events(subject=ME, at_s=100)[0]) is None
    assert known.flag_event(flag_events(subject=ME, at_s=101)[0]) is not None
    assert known.flag_event(flag_events(subject=OTHER, at_s=50)[0]) is not None


def test_the_latest_of_two_erasures_counts():
    known = erased(receipt(ME, 200), receipt(ME, 100))
    assert known.observation(seen(1, 150)) is None


def test_an_erased_device_is_left_out_of_what_others_did():
    known = erased(receipt(subject(SubjectType.DEVICE, 9, 1)))
    left = known.observation(seen(1, 50, device=1, address=1))
    assert left is not None
    assert left.subjects == (ME, subject(SubjectType.ADDRESS, 1))
    assert known.flag_event(flag_events(subject=DEVICE, at_s=50)[0]) is None


def test_evidence_of_who_was_erased_is_cut_from_others_flags():
    known = erased(receipt(ME))
    event = naming(flag_events(subject=DEVICE, at_s=50)[0], (ME, 40), (OTHER, 45), (ME, 140))
    left = known.flag_event(event)
    assert left is not None
    kept = orjson.loads(left.document)["evidence"]["linked"]
    assert [(each["correlation_id"], each["when"]) for each in kept] == [
        (OTHER.key, iso8601(at_ms(45))),
        (ME.key, iso8601(at_ms(140))),
    ]


def confirming(event: FlagEvent, who: Subject) -> FlagEvent:
    """Raised a level because a reviewer confirmed the same about somebody else."""
    document = orjson.loads(event.document)
    document["evidence"]["counts"]["confirmed"] = who.key
    return replace(event, document=orjson.dumps(document))


def test_whom_a_reviewer_confirmed_is_cut_from_the_flags_that_rose_with_theirs():
    known = erased(receipt(ME))
    left = known.flag_event(confirming(naming(flag_events(subject=OTHER, at_s=50)[0], (OTHER, 45)), ME))
    assert left is not None
    assert ME.key.encode() not in left.document
    assert [each["correlation_id"] for each in orjson.loads(left.document)["evidence"]["linked"]] == [OTHER.key]
    for stays in (
        confirming(flag_events(subject=OTHER, at_s=101)[0], ME),
        confirming(flag_events(subject=ME, at_s=101)[0], OTHER),
    ):
        assert known.flag_event(stays) is stays
