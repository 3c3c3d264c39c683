"""The rules that count in one sliding window: below, at and beyond the limit, at its edge, and who is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from abuse.flags.flags import FlagKind, FlagRefusal, RefusalKind, Severity
from abuse.observation import Finding
from abuse.rules.base import MOST_LINKED, NOTHING
from abuse.subjects import SubjectType
from tests.unit.abuse.builders import DAY_S, HOUR_S, at_ms, case, every, guid, seen, series, told

CORRELATION, DEVICE, ADDRESS, PREFIX = (SubjectType(each) for each in ("correlation_id", "device", "address", "prefix"))
WINDOW_S, MIDNIGHT_S = 100, 18 * HOUR_S


@dataclass(frozen=True)
class Counting:
    """A rule, whom its flags are about, the limit to set to 4, the severity there, and what one more of what it counts
    is. `each_another`: each comes from another person."""

    rule: str
    about: SubjectType
    limit: str
    severity: Severity
    one_more: dict[str, Any] = field(default_factory=dict)
    each_another: bool = False

    def after_verdict(self, times_s, of=None, **limits):
        observations = [
            seen(n, at_s, who=n if self.each_another else 1, device=1, address=1, prefix=1, **self.one_more)
            for n, at_s in enumerate(times_s, start=1)
        ]
        wanted = {"window_s": WINDOW_S, self.limit: 4, **limits}
        return told(self.rule, observations, None if of is None else observations[of], **wanted)

    def findings(self, times_s, of=None, **limits):
        return [f for f in self.after_verdict(times_s, of, **limits).findings if f.subject.type is self.about]


LOW, MEDIUM = Severity.LOW, Severity.MEDIUM
MISMATCH = {"finding": Finding.MISMATCH}
RULES = {
    "attack frequency": Counting("attack_frequency", CORRELATION, "attacks", MEDIUM),
    "attack severity": Counting("attack_severity", CORRELATION, "attacks", MEDIUM, {"severity": 0.5}),
    "content mismatch": Counting("content_mismatch", CORRELATION, "mismatches", LOW, MISMATCH),
    "address mismatch": Counting("address_mismatch", CORRELATION, "mismatches", LOW, {"as_expected": False}),
    "address velocity": Counting("address_velocity", ADDRESS, "submissions", LOW),
    "ids on an address": Counting("many_ids_on_address", ADDRESS, "ids", MEDIUM, each_another=True),
    "ids on a prefix": Counting("many_ids_on_address", PREFIX, "prefix_ids", MEDIUM, each_another=True),
    "ids of a device": Counting("device_velocity", DEVICE, "ids", MEDIUM, each_another=True),
}
counting = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@counting
def test_finding_at_the_limit(rule):
    (finding,) = rule.findings(every(1, 4))
    assert (finding.kind, finding.severities) == (FlagKind(rule.rule), (rule.severity,))
    assert (finding.first_ms, finding.at_ms) == (at_ms(0), at_ms(3))
    evidence = finding.evidence
    assert (evidence.used, evidence.limit, evidence.window_s) == (4, 4, WINDOW_S)
    assert [each.submission_id for each in evidence.linked] == ["sub-1", "sub-2", "sub-3", "sub-4"]
    blocked = FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at_ms(3), until_ms=at_ms(MIDNIGHT_S))
    assert finding.refusal == blocked
    (late,) = rule.findings([MIDNIGHT_S - 4 + at for at in every(1, 4)])
    assert late.refusal.until_ms == at_ms(MIDNIGHT_S - 1 + WINDOW_S), "no less than its window"
    assert rule.after_verdict(every(1, 40), active=False) == NOTHING


@counting
@pytest.mark.parametrize(("count", "level"), [(4, 1), (7, 1), (8, 2), (15, 2), (16, 3), (40, 3)])
def test_each_doubling_is_a_level(rule, count, level):
    (finding,) = rule.findings(every(1, count))
    order = list(Severity)
    first = order.index(rule.severity)
    assert finding.severities == tuple(order[first : first + level])


@counting
@pytest.mark.parametrize(
    ("times_s", "limit", "is_found"),
    [
        *((every(1, 3), 4, False), (every(1, 5), 6, False), (every(1, 5), 5, True)),
        *(([0, 1, 2, 99.999], 4, True), ([0, 1, 2, 100], 4, False)),
    ],
)
def test_when_a_rule_finds(rule, times_s, limit, is_found):
    assert bool(rule.findings(times_s, **{rule.limit: limit})) is is_found


TWO_DAYS = [MIDNIGHT_S + at for at in (-3, -2, -1.5, -1, 0, 1)]


@counting
@pytest.mark.parametrize(
    ("times_s", "late", "found"),
    [
        *((every(1, 4), late, [(4, 3)]) for late in range(4)),
        ([0, 1, 2, 3, 99, 99.5, 101], 0, [(6, 99.5)]),
        (TWO_DAYS, 0, [(4, MIDNIGHT_S - 1), (6, MIDNIGHT_S + 1)]),
    ],
)
def test_late_attempts_find_fullest_windows(rule, times_s, late, found):
    """An attempt that came late finds the fullest window it was missing from, on each day."""
    findings = rule.findings(times_s, of=late)
    assert [(each.evidence.used, each.at_ms) for each in findings] == [(used, at_ms(at_s)) for used, at_s in found]


@pytest.mark.parametrize("name", ["attack frequency", "attack severity", "content mismatch"])
@pytest.mark.parametrize("finding", Finding)
def test_only_findings_of_interest_count(name, finding):
    rule = RULES[name]
    wanted = rule.one_more.get("finding", Finding.SPOOF)
    observations = [seen(n, n, finding=finding, severity=0.9) for n in range(4)]
    found = told(rule.rule, observations, **{rule.limit: 4}).findings
    assert bool(found) is (finding is wanted)
    if finding is not wanted:
        mixed = [seen(9, 0, finding=wanted, severity=0.9), *observations[1:]]
        assert told(rule.rule, mixed, mixed[0], **{rule.limit: 4}).findings == ()


@pytest.mark.parametrize(("severity", "counts"), [(0.09, False), (0.1, True), (1.0, True)])
def test_attack_is_severe_from_limit(severity, counts):
    assert bool(told("attack_severity", series(every(1, 3), severity=severity)).findings) is counts


def test_evidence_names_species():
    kinds = ["flat_texture", "flat_texture", "moire", ""]
    observations = [seen(n, n, species=kind, severity=0.04 * n) for n, kind in enumerate(kinds, start=1)]
    (often,) = told("attack_frequency", observations, attacks=4).findings
    assert often.evidence.counts == {"flat_texture": 2, "moire": 1, "unnamed": 1}
    assert [each.why for each in often.evidence.linked] == ["spoof (flat_texture)"] * 2 + ["spoof (moire)", "spoof"]
    (badly,) = told("attack_severity", observations, attacks=2).findings
    assert badly.evidence.counts == {"worst_severity": 0.16, "moire": 1, "unnamed": 1}


def test_unexpected_address_is_risk():
    (part,) = told("address_mismatch", [seen(as_expected=False, address=1)], mismatches=9).risk
    assert (part.name, part.points) == ("address_mismatch", 35)
    for expected in (True, None):
        observations = [*series(every(1, 3), as_expected=False), seen(9, 3, as_expected=expected)]
        assert told("address_mismatch", observations) == NOTHING


def test_submissions_of_a_device_count():
    """Thirty of one person weigh as much as five persons."""
    observations = series(every(1, 60), device=1)
    assert told("device_velocity", observations[:29]).findings == ()
    (finding,) = told("device_velocity", observations[:30]).findings
    evidence = finding.evidence
    assert (evidence.used, evidence.limit) == (5, 5)
    figures = {"submissions": 30, "submissions_limit": 30, "correlation_ids": 1, "attacks": 30, "spoof_ratio": 1.0}
    assert evidence.counts == figures
    assert [each.submission_id for each in evidence.linked] == ["sub-30"], "one for each person"
    (twice,) = told("device_velocity", observations).findings
    assert twice.severities == (MEDIUM, Severity.HIGH)


def test_one_person_is_one_id():
    assert told("many_ids_on_address", series(every(1, 60), address=1, prefix=1)).findings == ()


@pytest.mark.parametrize(
    "rule", ["device_velocity", "address_velocity", "many_ids_on_address", "listed_network", "shared_address"]
)
def test_nothing_without_device_or_address(rule):
    assert told(rule, series(every(1, 80), networks=("tor",))) == NOTHING


def test_evidence_names_the_newest_and_their_sessions():
    (finding,) = told("attack_frequency", series(every(1, 150))).findings
    linked = finding.evidence.linked
    assert (finding.evidence.used, len(linked), linked[-1].submission_id) == (150, MOST_LINKED, "sub-150")
    observations = [seen(n, n, who=n, session_id=f"session-{n}", device=1) for n in range(1, 6)]
    (finding,) = told("device_velocity", observations).findings
    named = [(each.correlation_id, each.session_id) for each in finding.evidence.linked]
    assert named == [(guid(n), f"session-{n}") for n in range(1, 6)]


def test_subjects_of_a_case():
    made = case([seen(device=1)])
    assert (made.subject(DEVICE).type, made.subject(ADDRESS), made.attempts(ADDRESS)) == (DEVICE, None, ())


def test_default_window_is_a_day():
    times = [0, *(1 + at for at in every(1, 6))]
    (finding,) = told("attack_frequency", series([*times, DAY_S - 1])).findings
    assert finding.evidence.used == 8
    assert told("attack_frequency", series([*times, DAY_S])).findings == ()
