"""Observations in decisions, and back: the abuse table is rebuilt from decisions."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.observation import Finding, Observation, Origin
from abuse.observation_codec import from_decision, to_document
from abuse.subjects import SubjectType
from tests.unit.abuse.builders import seen, subject

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


def subjects(kind):
    return st.none() | st.integers(0, 2**100).map(lambda number: subject(kind, number))


observations = st.builds(
    Observation,
    tenant=st.none() | ids,
    correlation_id=st.uuids().map(str),
    submission_id=ids,
    session_id=st.none() | ids,
    at_ms=st.integers(0, 10**13),
    finding=st.sampled_from(Finding),
    severity=st.integers(0, 100).map(lambda n: n / 100),
    species=st.sampled_from(["", "flat_texture"]),
    origin=st.builds(
        Origin,
        device=subjects(SubjectType.DEVICE),
        address=subjects(SubjectType.ADDRESS),
        prefix=subjects(SubjectType.PREFIX),
        networks=st.lists(ids, max_size=3).map(tuple),
        as_expected=st.none() | st.booleans(),
    ),
)


def decision_on(observation, document):
    named = {name: getattr(observation, name) for name in ("tenant", "correlation_id", "session_id")}
    named["submission_id"] = "not what it was counted as"
    return orjson.loads(orjson.dumps({**named, "abuse": {"observation": document}}))


@given(observations)
def test_observation_survives_a_decision(observation):
    assert from_decision(decision_on(observation, to_document(observation))) == observation


@pytest.mark.parametrize("abuse", [None, {"observation": None}, {}])
def test_decision_without_observation(abuse):
    assert from_decision({"abuse": abuse}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("at", "yesterday"), ("at", None), ("finding", "fine"), ("networks", None), ("subjects", None)),
        *(("subjects", [{"type": "person", "key": "x"}]), ("subjects", [{"type": "device"}])),
        *(("counted_as", ...), ("as_expected", ...)),
    ],
)
def test_foreign_document_is_refused(field, value):
    changed = {**to_document(seen(device=1)), field: value}
    document = {name: each for name, each in changed.items() if each is not ...}
    with pytest.raises((KeyError, ValueError, TypeError)):
        from_decision({**decision_on(seen(), None), "abuse": {"observation": document}})


def test_document_holds_hashes_only():
    document = to_document(seen(device=1, address=2, prefix=3, networks=("tor",), as_expected=True))
    assert " ".join(document) == "at counted_as finding severity species subjects networks as_expected"
    assert [each["type"] for each in document["subjects"]] == ["device", "address", "prefix"]
