"""Receipts keep erased subjects from coming back in a rebuild."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from abuse.event_time import iso8601
from abuse.flags.flags import FlagEvent
from abuse.review.erased import Erased
from abuse.review.erasure import digest_of
from abuse.subjects import Subject, SubjectType, correlation
from tests.unit.abuse.builders import at_ms, guid, seen, subject
from tests.unit.stream.review.command_cases import flag_events

ME, OTHER, DEVICE = correlation(guid(1)), correlation(guid(2)), subject(SubjectType.DEVICE, 1)


def receipt(about: Subject, at_s: float = 100) -> dict[str, Any]:
    digests = [digest_of(None, about.type, key) for key in about.keys]
    return {"at": iso8601(at_ms(at_s)), "changed": {"erased": {}, "subject": {"type": about.type, "sha256": digests}}}


def erased(*receipts: dict[str, Any]) -> Erased:
    known = Erased()
    for each in receipts:
        known.take(each)
    return known


def flag(about: Subject, at_s: float, *linked: tuple[Subject, float], confirmed: Subject | None = None) -> FlagEvent:
    """A flag that names others' submissions, and whom a reviewer `confirmed`: why it rose a level."""
    event = flag_events(subject=about, at_s=at_s)[0]
    document = orjson.loads(event.document)
    document["evidence"]["linked"] = [
        {"correlation_id": who.key, "session": None, "submission": "s", "when": iso8601(at_ms(at)), "why": "w"}
        for who, at in linked
    ]
    if confirmed is not None:
        document["evidence"]["counts"]["confirmed"] = confirmed.key
    return replace(event, document=orjson.dumps(document))


def linked_in(event: FlagEvent | None) -> list[tuple[str, str]]:
    assert event is not None
    return [(each["correlation_id"], each["when"]) for each in orjson.loads(event.document)["evidence"]["linked"]]


def test_without_receipts_nothing_changes():
    known = erased({"at": iso8601(at_ms(0)), "changed": {"flags": []}})
    observation, event = seen(1, device=1), flag(ME, 0)
    assert known.observation(observation) is observation
    assert known.flag_event(event) is event


@pytest.mark.parametrize("receipts", [[receipt(ME)], [receipt(ME), receipt(ME, 90)]], ids=["one", "the latest of two"])
def test_nothing_up_to_the_erasure_comes_back(receipts):
    known = erased(*receipts)
    assert known.observation(seen(1, 100)) is None
    later = (seen(1, 100.001), seen(1, 50, who=2), seen(1, 50, tenant="acme"))
    assert [known.observation(each) for each in later] == [*later]
    assert known.flag_event(flag(ME, 100)) is None
    assert known.flag_event(flag(ME, 101)) is not None
    assert known.flag_event(flag(OTHER, 50)) is not None


def test_erased_device_is_left_out_of_what_others_did():
    known = erased(receipt(subject(SubjectType.DEVICE, 9, 1)))
    left = known.observation(seen(1, 50, device=1, address=1))
    assert left is not None
    assert left.subjects == (ME, subject(SubjectType.ADDRESS, 1))
    assert known.flag_event(flag(DEVICE, 50)) is None


def test_evidence_of_the_erased_is_cut_from_others_flags():
    left = erased(receipt(ME)).flag_event(flag(DEVICE, 50, (ME, 40), (OTHER, 45), (ME, 140)))
    assert linked_in(left) == [(OTHER.key, iso8601(at_ms(45))), (ME.key, iso8601(at_ms(140)))]


def test_whom_a_reviewer_confirmed_is_cut():
    known = erased(receipt(ME))
    left = known.flag_event(flag(OTHER, 50, (OTHER, 45), confirmed=ME))
    assert linked_in(left) == [(OTHER.key, iso8601(at_ms(45)))]
    assert ME.key.encode() not in left.document
    for stays in (flag(OTHER, 101, confirmed=ME), flag(ME, 101, confirmed=OTHER)):
        assert known.flag_event(stays) is stays
