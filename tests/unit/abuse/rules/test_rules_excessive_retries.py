"""Retries: five failures in three minutes or ten attempts in an hour are a pause, three pauses in a day a block."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.flags.flag_events import cleared_field
from abuse.flags.flags import FlagKind, FlagRefusal, RefusalKind, Severity
from abuse.ledger.journal import KEPT
from abuse.observation import Finding
from abuse.rules.base import NOTHING
from abuse.rules.excessive_retries import pauses
from abuse.subjects import SubjectType, correlation
from config.abuse import RetryLimits
from tests.unit.abuse.builders import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    Table,
    at_ms,
    attempts,
    every,
    guid,
    seen,
    series,
    told,
)

RULE = "excessive_retries"
ME = correlation(guid(1))
#: Five failures in a row, and the seconds after which the pause they earn is over.
FIVE = every(10, 5)
PAUSE_S = 30 * MINUTE_S
FREE_S = FIVE[-1] + PAUSE_S


def found(observations, of=None, **limits):
    (finding,) = told(RULE, observations, of, **limits).findings
    return finding


def rounds(count, **changes):
    """As many times five failures, each right after the pause before is over."""
    return series([start + at for start in every(FREE_S, count) for at in FIVE], **changes)


def test_five_failures_in_three_minutes_are_a_pause_of_half_an_hour():
    finding = found(series(every(44, 5)))
    assert finding.severities == (Severity.MEDIUM,)
    assert finding.refusal == FlagRefusal(kind=RefusalKind.PAUSED, from_ms=at_ms(176), until_ms=at_ms(176 + 1800))
    assert (finding.subject.key, finding.first_ms, finding.at_ms) == (guid(1), at_ms(0), at_ms(176))
    evidence = finding.evidence
    assert (evidence.used, evidence.limit, evidence.window_s) == (5, 5, 180)
    assert evidence.counts == {"unit": "failures", "pauses": 1, "pauses_limit": 3}
    assert [each.submission_id for each in evidence.linked] == [f"sub-{n}" for n in range(1, 6)]


async def flood(table, at_s):
    """More at once than the journal remembers."""
    await table.see(*(seen(f"{at_s}-{number}", at_s) for number in range(KEPT[SubjectType.CORRELATION_ID] + 9)))


async def refusals(table):
    """Of each flag, as many kinds as there were pauses."""
    flags = (await table.ledger.read_history(None, [ME])).flags
    return sorted([r.kind for r in flag.refusals] for flag in flags if flag.kind is FlagKind.EXCESSIVE_RETRIES)


async def test_pauses_count_though_the_journal_forgot_how_they_were_earned():
    table = Table()
    for at_s in every(FREE_S, 3):
        await flood(table, at_s)
    assert await refusals(table) == [[RefusalKind.PAUSED, RefusalKind.PAUSED, RefusalKind.BLOCKED]]


async def test_forgotten_pauses_do_not_count_once_a_reviewer_cleared_them():
    table = Table()
    first, second, third = every(FREE_S, 3)
    await flood(table, first)
    await flood(table, second)
    await table.ledger.clear(None, ME, *cleared_field("cmd-1", at_ms(third - 1)))
    await flood(table, third)
    assert await refusals(table) == [[RefusalKind.PAUSED], [RefusalKind.PAUSED, RefusalKind.PAUSED]]


def test_four_failures_are_none():
    assert told(RULE, series(every(1, 4))) == NOTHING


@pytest.mark.parametrize(("last_s", "paused"), [(179.999, True), (180, False)])
def test_the_window_of_failures_slides(last_s, paused):
    assert bool(told(RULE, series([0, 1, 2, 3, last_s])).findings) is paused


def test_failures_far_apart_count_when_enough_of_them_come_together():
    assert found(series([0, 100, 181, 185, 190, 195])).first_ms == at_ms(100)


@pytest.mark.parametrize("finding", [Finding.LIVE, Finding.INCONCLUSIVE, Finding.UNANALYSED, Finding.MISMATCH])
def test_only_a_spoof_is_a_failure(finding):
    assert told(RULE, series(every(1, 9), finding=finding)) == NOTHING


@pytest.mark.parametrize("finding", Finding)
def test_ten_attempts_of_any_kind_in_an_hour_are_a_pause(finding):
    times = every(300, 10)
    assert told(RULE, series(times[:9], finding=finding)) == NOTHING
    evidence = found(series(times, finding=finding)).evidence
    assert (evidence.counts["unit"], evidence.used, evidence.limit, evidence.window_s) == ("attempts", 10, 10, 3600)


@pytest.mark.parametrize(("last_s", "paused"), [(3599.999, True), (3600, False)])
def test_the_window_of_attempts_slides(last_s, paused):
    observations = series([*every(300, 9), last_s], finding=Finding.LIVE)
    assert bool(told(RULE, observations).findings) is paused


def test_attempts_during_a_pause_count_for_nothing():
    """They were under way when it began: admission lets no others through."""
    under_way = every(20, 60)
    assert len(pauses(attempts(series([*FIVE, *(FIVE[-1] + 1 + s for s in under_way)])), RetryLimits())) == 1


def test_a_pause_is_over_at_its_last_millisecond_and_counting_begins_afresh():
    again = [FREE_S + at for at in FIVE]
    assert len(pauses(attempts(series([*FIVE, *again])), RetryLimits())) == 2
    assert len(pauses(attempts(series([*FIVE, again[0] - 0.001, *again[1:]])), RetryLimits())) == 1
    assert len(pauses(attempts(series([*FIVE, *again[:4]])), RetryLimits())) == 1


@pytest.mark.parametrize("limits", [RetryLimits(), RetryLimits(pause_s=60)])
def test_what_earned_a_pause_counts_towards_no_other(limits):
    """Neither its failures towards attempts, nor its attempts towards failures."""
    free_s = FIVE[-1] + limits.pause_s
    five = [seen(9 + n, free_s + n, finding=Finding.LIVE) for n in range(5)]
    assert len(pauses(attempts([*series(FIVE), *five]), limits)) == 1
    mixed = [seen(n, n, finding=Finding.SPOOF if n > 5 else Finding.LIVE) for n in range(10)]
    one_more = seen(99, 9 + limits.pause_s)
    assert len(pauses(attempts([*mixed, one_more]), limits)) == 1


def test_the_third_pause_of_a_day_is_a_block_of_a_week():
    assert found(rounds(2)).severities == (Severity.MEDIUM, Severity.MEDIUM)
    finding = found(rounds(3))
    end_s = 2 * FREE_S + FIVE[-1]
    assert finding.severities == (Severity.MEDIUM, Severity.MEDIUM, Severity.HIGH)
    assert finding.refusal == FlagRefusal(
        kind=RefusalKind.BLOCKED, from_ms=at_ms(end_s), until_ms=at_ms(end_s) + 7 * DAY_S * 1000
    )
    assert finding.evidence.counts["pauses"] == 3
    assert len(finding.evidence.linked) == 15


@pytest.mark.parametrize(("third_s", "blocked"), [(DAY_S - 0.001, True), (DAY_S, False)])
def test_the_window_of_pauses_slides(third_s, blocked):
    """From the start of the first pause to the start of the third."""
    first, second = FIVE, [HOUR_S + at for at in FIVE]
    third = [FIVE[-1] + third_s - 4 + n for n in range(5)]
    finding = found(series([*first, *second, *third]))
    assert (finding.refusal.kind is RefusalKind.BLOCKED) is blocked


def test_pauses_of_two_days_make_a_block_too():
    """The day a flag is named for is not the day pauses are counted over."""
    first = [at + 16 * HOUR_S for at in FIVE]  # ten in the evening
    others = [first[0] + n * HOUR_S * 3 + at for n in (1, 2) for at in FIVE]  # one and four in the morning
    finding = found(series([*first, *others]))
    assert finding.refusal.kind is RefusalKind.BLOCKED
    assert len(finding.severities) == 3


def test_a_late_attempt_brings_about_the_pause_it_was_missing_from():
    observations = series(FIVE)
    for late in observations:
        assert found(observations, late).at_ms == at_ms(FIVE[-1])


def test_an_attempt_has_nothing_to_do_with_pauses_before_it():
    after = seen(99, FREE_S + HOUR_S, finding=Finding.LIVE)
    assert told(RULE, [*series(FIVE), after]) == NOTHING


@pytest.mark.parametrize("limits", [{"failures": 1, "attempts": 50}, {"attempts": 1}])
def test_a_limit_of_one_pauses_at_once(limits):
    assert found([seen()], **limits).evidence.used == 1


def test_inactive_tells_nothing():
    assert told(RULE, rounds(3), active=False) == NOTHING


times_of_attempts = st.lists(st.tuples(st.integers(0, 6 * HOUR_S), st.booleans()), max_size=60)


@settings(max_examples=150)
@given(times_of_attempts, st.randoms(use_true_random=False))
def test_a_late_attempt_never_takes_a_pause_away(given_attempts, chance: random.Random):
    """Nor moves one back: the k-th pause never begins later for one attempt more."""
    made = [
        seen(number, at_s, finding=Finding.SPOOF if spoof else Finding.LIVE)
        for number, (at_s, spoof) in enumerate(given_attempts)
    ]
    chance.shuffle(made)
    before: list[int] = []
    for count in range(1, len(made) + 1):
        after = [pause.start_ms for pause in pauses(attempts(made[:count]), RetryLimits())]
        assert len(after) >= len(before)
        assert all(new <= old for new, old in zip(after, before, strict=False))
        before = after


async def test_a_brute_force_is_flagged_at_every_level_once():
    table = Table()
    await table.see(*rounds(3))
    events = [event for event in table.recorded if event.document.find(b"excessive_retries") >= 0]
    assert [event.name for event in events] == ["level 1", "level 2", "level 3"]
    assert len({event.flag_id for event in events}) == 1
