"""The rules that count in one sliding window: below, at and beyond the limit, at the edge of the window, and who
is named.

One table for all of them; what is particular to a rule has a test of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from abuse.flags.flags import FlagKind, FlagRefusal, RefusalKind, Severity
from abuse.observation import Finding
from abuse.rules.base import MOST_LINKED, NOTHING
from abuse.subjects import SubjectType
from tests.unit.abuse.builders import DAY_S, HOUR_S, at_ms, case, every, guid, seen, series, told


@dataclass(frozen=True)
class Counting:
    """A rule, what one more of what it counts is, and its limits."""

    rule: str
    about: SubjectType
    limits: dict[str, Any]
    severity: Severity
    window_s: int = 100
    one_more: dict[str, Any] = field(default_factory=dict)
    #: Each comes from another person.
    each_another: bool = False

    def observations(self, times_s):
        made = []
        for number, at_s in enumerate(times_s, start=1):
            who = number if self.each_another else 1
            made.append(seen(number, at_s, who=who, device=1, address=1, prefix=1, **self.one_more))
        return made

    def after_verdict(self, times_s, of=None, **limits):
        observations = self.observations(times_s)
        wanted = {"window_s": self.window_s, **self.limits, **limits}
        return told(self.rule, observations, None if of is None else observations[of], **wanted)

    def findings(self, times_s, of=None, **limits):
        return [f for f in self.after_verdict(times_s, of, **limits).findings if f.subject.type is self.about]


CORRELATION, DEVICE, ADDRESS, PREFIX = (
    SubjectType.CORRELATION_ID,
    SubjectType.DEVICE,
    SubjectType.ADDRESS,
    SubjectType.PREFIX,
)
#: Each with a limit of 4.
RULES = {
    "attack frequency": Counting("attack_frequency", CORRELATION, {"attacks": 4}, Severity.MEDIUM),
    "attack severity": Counting(
        "attack_severity", CORRELATION, {"attacks": 4}, Severity.MEDIUM, one_more={"severity": 0.5}
    ),
    "content mismatch": Counting(
        "content_mismatch", CORRELATION, {"mismatches": 4}, Severity.LOW, one_more={"finding": Finding.MISMATCH}
    ),
    "address mismatch": Counting(
        "address_mismatch", CORRELATION, {"mismatches": 4}, Severity.LOW, one_more={"as_expected": False}
    ),
    "address velocity": Counting("address_velocity", ADDRESS, {"submissions": 4}, Severity.LOW),
    "ids on an address": Counting("many_ids_on_address", ADDRESS, {"ids": 4}, Severity.MEDIUM, each_another=True),
    "ids on a prefix": Counting("many_ids_on_address", PREFIX, {"prefix_ids": 4}, Severity.MEDIUM, each_another=True),
    "ids of a device": Counting("device_velocity", DEVICE, {"ids": 4}, Severity.MEDIUM, each_another=True),
}

counting = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@counting
def test_finding_at_the_limit(rule):
    (finding,) = rule.findings(every(1, 4))
    assert finding.kind == FlagKind(rule.rule)
    assert finding.severities == (rule.severity,)
    assert (finding.first_ms, finding.at_ms) == (at_ms(0), at_ms(3))
    evidence = finding.evidence
    assert (evidence.used, evidence.limit, evidence.window_s) == (4, 4, rule.window_s)
    assert [each.submission_id for each in evidence.linked] == ["sub-1", "sub-2", "sub-3", "sub-4"]
    midnight = at_ms(18 * HOUR_S)
    assert finding.refusal == FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at_ms(3), until_ms=midnight)


@counting
def test_refusal_lasts_its_window(rule):
    times = [18 * HOUR_S - 4 + at for at in every(1, 4)]
    (finding,) = rule.findings(times)
    assert finding.refusal.until_ms == at_ms(times[-1] + rule.window_s)


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
        (every(1, 3), 4, False),
        ([0, 1, 2, 99.999], 4, True),
        ([0, 1, 2, 100], 4, False),
        (every(1, 5), 6, False),
        (every(1, 5), 5, True),
    ],
)
def test_when_a_rule_finds(rule, times_s, limit, is_found):
    assert bool(rule.findings(times_s, **dict.fromkeys(rule.limits, limit))) is is_found


MIDNIGHT_S = 18 * HOUR_S
TWO_DAYS = [MIDNIGHT_S - 3, MIDNIGHT_S - 2, MIDNIGHT_S - 1.5, MIDNIGHT_S - 1, MIDNIGHT_S, MIDNIGHT_S + 1]


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


@counting
def test_inactive_rule_finds_nothing(rule):
    assert rule.after_verdict(every(1, 40), active=False) == NOTHING


@pytest.mark.parametrize("name", ["attack frequency", "attack severity", "content mismatch"])
@pytest.mark.parametrize("finding", Finding)
def test_only_findings_of_interest_count(name, finding):
    rule = RULES[name]
    wanted = rule.one_more.get("finding", Finding.SPOOF)
    observations = [seen(n, n, finding=finding, severity=0.9) for n in range(4)]
    found = told(rule.rule, observations, **rule.limits).findings
    assert bool(found) is (finding is wanted)
    mixed = [seen(9, 0, finding=wanted, severity=0.9), *observations[1:]]
    if finding is not wanted:
        assert told(rule.rule, mixed, mixed[0], **rule.limits).findings == ()


@pytest.mark.parametrize(("severity", "counts"), [(0.49, False), (0.5, True), (1.0, True)])
def test_attack_is_severe_from_limit(severity, counts):
    observations = series(every(1, 3), severity=severity)
    assert bool(told("attack_severity", observations).findings) is counts


def test_evidence_names_species():
    kinds = ["flat_texture", "flat_texture", "moire", ""]
    observations = [seen(n, n, species=kind, severity=0.2 * n) for n, kind in enumerate(kinds, start=1)]
    (often,) = told("attack_frequency", observations, attacks=4).findings
    assert often.evidence.counts == {"flat_texture": 2, "moire": 1, "unnamed": 1}
    assert [each.why for each in often.evidence.linked] == ["spoof (flat_texture)"] * 2 + ["spoof (moire)", "spoof"]
    (badly,) = told("attack_severity", observations, attacks=2).findings
    assert badly.evidence.counts == {"worst_severity": 0.8, "moire": 1, "unnamed": 1}


def test_expected_address_is_no_mismatch():
    elsewhere = series(every(1, 3), as_expected=False)
    as_expected = seen(9, 3, as_expected=True)
    unsaid = seen(9, 3)
    for one in (as_expected, unsaid):
        assert told("address_mismatch", [*elsewhere, one]) == NOTHING


def test_unexpected_address_is_risk():
    observation = seen(as_expected=False, address=1)
    (part,) = told("address_mismatch", [observation], mismatches=9).risk
    assert (part.name, part.points) == ("address_mismatch", 35)


DEVICE_RULE = "device_velocity"


def test_submissions_of_a_device_count():
    """Thirty of one person weigh as much as five persons."""
    observations = series(every(1, 29), device=1)
    assert told(DEVICE_RULE, observations).findings == ()
    (finding,) = told(DEVICE_RULE, [*observations, seen(30, 29, device=1)]).findings
    assert (finding.evidence.used, finding.evidence.limit) == (5, 5)
    assert finding.evidence.counts == {
        "submissions": 30,
        "correlation_ids": 1,
        "attacks": 30,
        "spoof_ratio": 1.0,
        "submissions_limit": 30,
    }
    assert [each.submission_id for each in finding.evidence.linked] == ["sub-30"], "one for each person"
    (twice,) = told(DEVICE_RULE, series(every(1, 60), device=1)).findings
    assert twice.severities == (Severity.MEDIUM, Severity.HIGH)


def test_one_person_is_one_id():
    observations = series(every(1, 60), address=1, prefix=1)
    assert told("many_ids_on_address", observations).findings == ()


@pytest.mark.parametrize(
    "rule", ["device_velocity", "address_velocity", "many_ids_on_address", "listed_network", "shared_address"]
)
def test_nothing_without_device_or_address(rule):
    assert told(rule, series(every(1, 80), networks=("tor",))) == NOTHING


def test_evidence_names_the_newest():
    (finding,) = told("attack_frequency", series(every(1, 150))).findings
    assert finding.evidence.used == 150
    assert len(finding.evidence.linked) == MOST_LINKED
    assert finding.evidence.linked[-1].submission_id == "sub-150"


def test_evidence_names_sessions():
    observations = [seen(n, n, who=n, session_id=f"session-{n}", device=1) for n in range(1, 6)]
    (finding,) = told(DEVICE_RULE, observations).findings
    linked = finding.evidence.linked
    assert [(each.correlation_id, each.session_id) for each in linked] == [
        (guid(n), f"session-{n}") for n in range(1, 6)
    ]


def test_subjects_of_a_case():
    made = case([seen(device=1)])
    assert made.subject(DEVICE) is not None
    assert made.subject(ADDRESS) is None
    assert made.attempts(ADDRESS) == ()


def test_windows_of_a_day():
    (finding,) = told("attack_frequency", series([0, *every(1, 6), DAY_S - 1])).findings
    assert finding.evidence.used == 8
    assert told("attack_frequency", series([0, *(1 + at for at in every(1, 6)), DAY_S])).findings == ()
