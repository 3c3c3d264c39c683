"""Journals: a line says everything about an attempt, and a set of lines is the same in whatever order it grew."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.ledger.journal import (
    KEPT,
    SHARDS,
    Attempt,
    attempt_from,
    attempt_of,
    attempts_from,
    line_of,
    reach_ms,
    shard_of,
)
from abuse.observation import Finding
from abuse.subjects import SubjectType
from tests.unit.abuse.builders import DAY_MS, seen

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=150)
codes = st.from_regex(r"\A([a-z][a-z0-9_]{0,40})?\Z")
some_attempts = st.builds(
    Attempt,
    at_ms=st.integers(0, 10**13 - 1),
    submission_id=ids,
    correlation_id=st.uuids().map(str),
    session_id=st.none() | ids,
    finding=st.sampled_from(Finding),
    severity=st.integers(0, 100).map(lambda n: n / 100),
    species=codes,
    elsewhere=st.booleans(),
)


@given(some_attempts, some_attempts)
def test_line_holds_the_attempt_in_order_of_time(one, other):
    assert attempt_from(line_of(one)) == one
    if one.at_ms != other.at_ms:
        assert (line_of(one) < line_of(other)) is (one.at_ms < other.at_ms)
    assert (line_of(one) == line_of(other)) is (one == other)


@pytest.mark.parametrize("line", ["", "x", "1 S 0.5", "a S 0.50  c  s", "0000000000001 X 0.50  c  s", "1 S high  c  s"])
def test_foreign_line_is_refused(line):
    with pytest.raises((ValueError, KeyError)):
        attempt_from(line)


def test_attempt_of_an_observation():
    observation = seen(7, 5, who=3, severity=0.456, species="flat_texture", session_id="s", as_expected=False)
    assert attempt_of(observation) == Attempt(
        at_ms=observation.at_ms,
        submission_id="sub-7",
        correlation_id=observation.correlation_id,
        session_id="s",
        finding=Finding.SPOOF,
        severity=0.46,
        species="flat_texture",
        elsewhere=True,
    )
    assert not any(attempt_of(seen(as_expected=expected)).elsewhere for expected in (True, None))


@given(st.lists(some_attempts, max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_of_lines_do_not_matter(given_attempts, chance: random.Random):
    lines = [line_of(each) for each in given_attempts]
    expected = attempts_from(lines)
    again = lines + chance.choices(lines, k=5) if lines else []
    chance.shuffle(again)
    assert attempts_from(again) == expected
    assert list(expected) == sorted(expected, key=lambda a: (a.at_ms, a.submission_id))


def test_first_attempt_of_a_submission_counts():
    """For an hour: by then the decision may be forgotten, and an attacker would hide behind attempts long past."""
    first, twice = (attempt_of(seen(1, at_s)) for at_s in (0, 3599.999))
    again, more = (attempt_of(seen(1, at_s)) for at_s in (3600, 7200))
    other = attempt_of(seen(2, 0, finding=Finding.LIVE))
    lines = [line_of(each) for each in (first, other, twice, again, more)]
    for given_lines in (lines, lines[::-1]):
        assert attempts_from(given_lines) == (first, other, again, more)


@pytest.mark.parametrize("finding", [Finding.UNANALYSED, Finding.MISMATCH])
def test_attempt_that_passes_no_gate_counts_once(finding):
    """However late it is sent again."""
    lines = [line_of(attempt_of(seen(1, at_s, finding=finding))) for at_s in (0, 5000, 90_000)]
    assert len(attempts_from(lines)) == 1
    analysed = attempt_of(seen(1, 95_000))
    assert attempts_from([*lines, line_of(analysed)])[1:] == (analysed,)


def test_submission_has_one_shard():
    for kind in KEPT:
        assert {shard_of(kind, f"sub-{number}") for number in range(200)} == set(range(SHARDS.get(kind, 1)))


def test_journals_reach_as_far_back_as_any_rule():
    assert min(map(reach_ms, KEPT)) >= DAY_MS
    assert reach_ms(SubjectType.CORRELATION_ID) >= 2 * DAY_MS, "pauses of a day, and what led to the first of them"


def test_attempts_are_ordered_by_time_then_submission():
    first = attempt_of(seen(1, 0))
    assert first < replace(first, submission_id="sub-2") < replace(first, at_ms=first.at_ms + 1)
