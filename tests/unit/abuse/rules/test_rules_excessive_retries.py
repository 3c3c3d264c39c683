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
from config.limits.abuse import RetryLimits
from tests.unit.abuse.builders import DAY_S, HOUR_S, MINUTE_S, Table, at_ms, attempts, every, guid, seen, series, told

RULE = "excessive_retries"
ME = correlation(guid(1))
MEDIUM, HIGH = Severity.MEDIUM, Severity.HIGH
#: Five failures in a row, and the seconds after which the pause they earn is over.
FIVE = every(10, 5)
FREE_S = FIVE[-1] + 30 * MINUTE_S
AGAIN = [FREE_S + at for at in FIVE]


def found(observations, of=None, **limits):
    (finding,) = told(RULE, observations, of, **limits).findings
    return finding


def rounds(count):
    """Five failures, so many times, each right after the pause before is over."""
    return series([start + at for start in every(FREE_S, count) for at in FIVE])


def test_five_failures_are_a_pause():
    finding = found(series(every(44, 5)))
    assert finding.severities == (MEDIUM,)
    assert finding.refusal == FlagRefusal(kind=RefusalKind.PAUSED, from_ms=at_ms(176), until_ms=at_ms(176 + 1800))
    assert (finding.subject.key, finding.first_ms, finding.at_ms) == (guid(1), at_ms(0), at_ms(176))
    evidence = finding.evidence
    assert (evidence.used, evidence.limit, evidence.window_s) == (5, 5, 180)
    assert evidence.counts == {"unit": "failures", "pauses": 1, "pauses_limit": 3}
    assert [each.submission_id for each in evidence.linked] == [f"sub-{n}" for n in range(1, 6)]


@pytest.mark.parametrize("finding", Finding)
def test_ten_attempts_are_a_pause(finding):
    """Attempts of any kind count, in an hour."""
    times = every(300, 10)
    assert told(RULE, series(times[:9], finding=finding)) == NOTHING
    evidence = found(series(times, finding=finding)).evidence
    assert (evidence.counts["unit"], evidence.used, evidence.limit, evidence.window_s) == ("attempts", 10, 10, 3600)


SPOOF, LIVE = Finding.SPOOF, Finding.LIVE
PAUSES = {
    "four failures": (0, series(every(1, 4))),
    "a failure at the end of the window": (1, series([0, 1, 2, 3, 179.999])),
    "a failure behind the window": (0, series([0, 1, 2, 3, 180])),
    "an attempt at the end of the window": (1, series([*every(300, 9), 3599.999], finding=LIVE)),
    "an attempt behind the window": (0, series([*every(300, 9), 3600], finding=LIVE)),
    **{f"nine {kind}": (0, series(every(1, 9), finding=kind)) for kind in Finding if kind is not SPOOF},
    "attempts under way when the pause began": (1, series([*FIVE, *(FIVE[-1] + 1 + s for s in every(20, 60))])),
    "five after the pause": (2, series([*FIVE, *AGAIN])),
    "one of five at the pause's last millisecond": (1, series([*FIVE, AGAIN[0] - 0.001, *AGAIN[1:]])),
    "four after the pause": (1, series([*FIVE, *AGAIN[:4]])),
}


@pytest.mark.parametrize(("count", "observations"), PAUSES.values(), ids=PAUSES)
def test_how_many_pauses_are_earned(count, observations):
    earned = pauses(attempts(observations), RetryLimits())
    assert len(earned) == count
    if not count:
        assert told(RULE, observations) == NOTHING


@pytest.mark.parametrize("limits", [RetryLimits(), RetryLimits(pause_s=60)])
def test_attempts_earn_one_pause_only(limits):
    """Neither do the failures of a pause count towards attempts, nor its attempts towards failures."""
    lives = series(every(1, 6), finding=LIVE)
    failures = [*series(FIVE), *series([FIVE[-1] + limits.pause_s + at for at in range(5)], finding=LIVE)]
    tries = [*lives, *(seen(number, number) for number in range(7, 11)), seen(99, 10 + limits.pause_s)]
    assert [len(pauses(attempts(each), limits)) for each in (failures, tries)] == [1, 1]


def test_failures_that_come_together_count():
    assert found(series([0, 100, 181, 185, 190, 195])).first_ms == at_ms(100)


def test_third_pause_is_a_block():
    """Three pauses of a day: a week."""
    assert told(RULE, rounds(3), active=False) == NOTHING
    assert found(rounds(2)).severities == (MEDIUM, MEDIUM)
    finding, end_ms = found(rounds(3)), at_ms(2 * FREE_S + FIVE[-1])
    assert finding.severities == (MEDIUM, MEDIUM, HIGH)
    assert finding.refusal == FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=end_ms, until_ms=end_ms + 7 * DAY_S * 1000)
    assert (finding.evidence.counts["pauses"], len(finding.evidence.linked)) == (3, 15)


EVENING_S = 16 * HOUR_S


@pytest.mark.parametrize(
    ("begins_s", "blocked"),
    [
        ((0, HOUR_S, DAY_S + FIVE[-1] - 4 - 0.001), True),
        ((0, HOUR_S, DAY_S + FIVE[-1] - 4), False),
        ((EVENING_S, EVENING_S + 3 * HOUR_S, EVENING_S + 6 * HOUR_S), True),
    ],
    ids=["within a day", "a day apart", "over midnight"],
)
def test_window_of_pauses_slides(begins_s, blocked):
    """From the start of the first pause to the start of the third; the UTC day of a flag is another thing."""
    first, second, last = begins_s
    times = [*(first + at for at in FIVE), *(second + at for at in FIVE), *(last + n for n in range(5))]
    finding = found(series(times))
    assert (finding.refusal.kind is RefusalKind.BLOCKED) is blocked
    assert len(finding.severities) == (3 if blocked else 2)


def test_late_attempts_bring_about_pauses():
    """A late attempt finds the pause that it was missing from; no attempt finds a pause before itself."""
    observations = series(FIVE)
    assert {found(observations, late).at_ms for late in observations} == {at_ms(FIVE[-1])}
    assert told(RULE, [*observations, seen(99, FREE_S + HOUR_S, finding=LIVE)]) == NOTHING


@pytest.mark.parametrize("limits", [{"failures": 1, "attempts": 50}, {"attempts": 1}])
def test_limit_of_one_pauses_at_once(limits):
    assert found([seen()], **limits).evidence.used == 1


# Through the table


async def flood(table, at_s):
    """More at once than the journal holds; most of it unassessed."""
    many = [seen(f"{at_s}-{number}", at_s) for number in range(KEPT[SubjectType.CORRELATION_ID] + 9)]
    await table.see(*many[:20])
    await table.ledger.record_all(many[20:])


@pytest.mark.parametrize("cleared", [False, True])
async def test_pauses_outlive_their_attempts(cleared):
    """The journal forgets how the pauses were earned; their flags tell, unless a reviewer cleared the subject."""
    table, third_s = Table(), 2 * FREE_S
    for at_s in every(FREE_S, 3):
        if cleared and at_s == third_s:
            await table.ledger.clear(None, ME, *cleared_field("cmd-1", at_ms(third_s - 1)))
        await flood(table, at_s)
    flags = (await table.ledger.read_history(None, [ME])).flags
    kinds = sorted([r.kind for r in flag.refusals] for flag in flags if flag.kind is FlagKind.EXCESSIVE_RETRIES)
    paused, blocked = RefusalKind.PAUSED, RefusalKind.BLOCKED
    assert kinds == ([[paused], [paused, paused]] if cleared else [[paused, paused, blocked]])


async def test_brute_force_raises_each_level_once():
    table = Table()
    await table.see(*rounds(3))
    events = [event for event in table.recorded if b"excessive_retries" in event.document]
    assert [event.name for event in events] == ["level 1", "level 2", "level 3"]
    assert len({event.flag_id for event in events}) == 1


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6 * HOUR_S), st.booleans()), max_size=60), st.randoms(use_true_random=False))
def test_late_attempts_take_no_pause_away(given_attempts, chance: random.Random):
    """Nor move one back: the k-th pause never begins later for one attempt more."""
    made = [seen(number, at_s, finding=SPOOF if spoof else LIVE) for number, (at_s, spoof) in enumerate(given_attempts)]
    chance.shuffle(made)
    before: list[int] = []
    for count in range(1, len(made) + 1):
        after = [pause.start_ms for pause in pauses(attempts(made[:count]), RetryLimits())]
        assert len(after) >= len(before)
        assert all(new <= old for new, old in zip(after, before, strict=False))
        before = after
