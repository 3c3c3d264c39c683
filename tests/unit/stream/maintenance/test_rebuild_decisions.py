"""Decisions for duplicates in a rebuild: what erasures took stays away."""

from __future__ import annotations

import orjson
import pytest

from abuse.review.erased import Erased
from abuse.review.erasure import digest_of
from abuse.subjects import SubjectType
from stream.maintenance import rebuild
from stream.maintenance.rebuild_records import NOT_OURS, published_of
from tests.instants import NOW_MS
from tests.unit.abuse.builders import seen
from tests.unit.stream.maintenance.test_rebuild import LINK, decision_of

OWN, OTHER = (end["correlation_id"] for end in LINK["ends"])
OBSERVED = seen(102, 1202)
FAR_MS = NOW_MS


def left(correlation_id: str, until_ms: int) -> bytes | None:
    """The decision that is restored after an erasure of this id."""
    read = rebuild._Read.of(decision_of(OBSERVED, links=[LINK]))
    erased = Erased({digest_of(None, SubjectType.CORRELATION_ID, correlation_id): until_ms})
    published = rebuild._left(read, erased)
    return None if published is None else published.decision


def test_erased_decision_stays_away():
    assert left(OBSERVED.correlation_id, FAR_MS) is None
    assert left(OBSERVED.correlation_id, OBSERVED.at_ms - 10**9) == decision_of(OBSERVED, links=[LINK])


def test_links_to_erased_stay_away():
    other = OTHER if OBSERVED.correlation_id == OWN else OWN
    document = orjson.loads(left(other, FAR_MS) or b"")
    assert document["abuse"]["links"] == []
    assert document["correlation_id"] == OBSERVED.correlation_id


@pytest.mark.parametrize(
    "changed",
    [
        {"request_id": "lv_1"},
        {"request_id": None},
        {"timestamp": "now"},
        {"submission_id": ""},
        {"correlation_id": "x"},
    ],
)
def test_foreign_decision_is_refused(changed):
    with pytest.raises(NOT_OURS):
        published_of(orjson.dumps({**orjson.loads(decision_of(OBSERVED)), **changed}))


@pytest.mark.parametrize(
    ("changed", "owns"),
    [
        ({}, True),
        ({"correlation_id": None}, False),
        ({"error": {"code": "DUPLICATE_MISMATCH"}}, False),
        ({"error": {"code": "NO_FACE"}}, True),
    ],
)
def test_owner_of_a_submission_id(changed, owns):
    assert published_of(orjson.dumps({**orjson.loads(decision_of(OBSERVED)), **changed})).owns is owns
