"""Addresses: people who share one are left alone, those who attack from one are not; listed networks; IP risk."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.flags.flags import Severity
from abuse.observation import Finding
from abuse.rules.base import NOTHING, RiskPart
from abuse.rules.ip_risk import EXPLAINED_BY_SHARING, IpRisk, graded, ip_risk
from abuse.rules.shared_address import surely
from abuse.subjects import SubjectType
from tests.unit.abuse.builders import POLICY_NAME, Table, at_ms, every, guid, seen, told

ADDRESS_RULES = ("address_velocity", "many_ids_on_address", "shared_address", "listed_network")
ADDRESS, PREFIX = SubjectType.ADDRESS, SubjectType.PREFIX


def crowd(people, attacks, *, step_s=60.0):
    """Submissions of so many people from one address, the attacks evenly spread among them."""
    spoofs = {round(number * people / attacks) for number in range(attacks)}
    findings = [Finding.SPOOF if number in spoofs else Finding.LIVE for number in range(people)]
    return [
        seen(number + 1, number * step_s, who=number + 1, finding=finding, address=1, prefix=1)
        for number, finding in enumerate(findings)
    ]


def risk_of(observations, but=None):
    return ip_risk(part for rule in ADDRESS_RULES if rule != but for part in told(rule, observations).risk)


async def flags_on_addresses(observations):
    table = Table()
    assessment = await table.see(*observations)
    return assessment, [event for event in table.recorded if event.subject.type in (ADDRESS, PREFIX)]


async def test_address_of_two_hundred_people_is_not_flagged():
    """Two attacks in a hundred: at no moment, from the first person to the last, is there a flag."""
    observations = crowd(200, 4)
    assessment, events = await flags_on_addresses(observations)
    assert events == []
    parts = {part.name: part.points for part in assessment.ip_risk.parts}
    assert parts["ids_on_address"] > 0 > parts["shared_address"]
    assert assessment.ip_risk == risk_of(observations)
    assert assessment.ip_risk.score <= risk_of(observations, but="shared_address").score - 30


async def test_seventeen_attackers_on_one_address_are_flagged_and_named():
    observations = crowd(17, 15)
    assessment, (event,) = await flags_on_addresses(observations)
    assert event.document.count(b'"why":"spoof"') >= 13
    (flag,) = (flag for flag in assessment.flags if flag.subject.type is ADDRESS)
    assert (flag.kind, flag.severity, flag.enforced) == ("many_ids_on_address", Severity.MEDIUM, False)
    named = {each["correlation_id"] for each in orjson.loads(event.document)["evidence"]["linked"]}
    assert named == {guid(number) for number in range(1, 16)}, "the fifteen that reached the limit"
    assert assessment.ip_risk.score >= 60
    (finding,) = (f for f in told("many_ids_on_address", observations).findings if f.subject.type is ADDRESS)
    assert {each.correlation_id for each in finding.evidence.linked} == {guid(number) for number in range(1, 18)}
    assert finding.evidence.counts["attacks"] == 15


@pytest.mark.parametrize(
    ("people", "attacks", "shared"),
    [
        *((14, 0, False), (15, 0, True), (15, 2, True), (15, 3, True), (15, 4, False)),
        *((30, 6, True), (30, 7, False), (200, 28, True), (200, 29, False)),
    ],
)
def test_what_makes_an_address_shared(people, attacks, shared):
    """From fifteen ids, unless surely a tenth or more are attacks; fewer than three of these never count against it."""
    observations = crowd(people, attacks)
    assert bool(told("shared_address", observations).risk) is shared
    assert told("shared_address", observations).findings == ()
    if people >= 15:
        assert bool(told("many_ids_on_address", observations).findings) is not shared


@pytest.mark.parametrize(
    ("found", "of", "share"), [(0, 10, 0.0), (1, 10, 0.0179), (5, 10, 0.2366), (10, 10, 0.7225), (50, 100, 0.4038)]
)
def test_share_that_is_surely_there(found, of, share):
    """Values of the published formula, to be found in any table of Wilson intervals."""
    assert surely(found, of) == pytest.approx(share, abs=2e-4)


def test_shared_address_is_spared_its_velocity():
    assert told("address_velocity", crowd(60, 0, step_s=10)).findings == ()
    (finding,) = told("address_velocity", crowd(60, 30, step_s=10)).findings
    assert finding.evidence.used == 60


def test_without_the_relief_sharing_excuses_nothing():
    off, observations = {"shared_address": {"active": False}}, crowd(60, 0)
    assert told("shared_address", observations, active=False) == NOTHING
    assert {f.subject.type for f in told("many_ids_on_address", observations, others=off).findings} == {ADDRESS, PREFIX}


def test_prefix_has_a_limit_of_its_own():
    observations = [seen(number, number, who=number, address=number, prefix=1) for number in range(1, 61)]
    (finding,) = told("many_ids_on_address", observations).findings
    assert (finding.subject.type, finding.evidence.used, finding.evidence.limit) == (PREFIX, 60, 60)
    assert told("many_ids_on_address", observations[:-1]).findings == ()


@pytest.mark.parametrize(
    ("submissions", "points"), [(1, 0), (2, 1), (30, 10), (60, 20), (90, 30), (120, 40), (200, 40)]
)
def test_risk_of_velocity_is_graded(submissions, points):
    (part,) = told("address_velocity", [seen(number, number, address=1) for number in range(submissions)]).risk
    assert (part.name, part.points) == ("address_velocity", points)
    assert str(submissions) in part.detail


@pytest.mark.parametrize(("attacks", "points"), [(0, 0), (1, 10), (2, 20), (4, 40)])
def test_attacks_weigh_by_their_share(attacks, points):
    parts = {part.name: part.points for part in told("many_ids_on_address", crowd(4, attacks)).risk}
    assert parts["spoof_ratio"] == points


def test_one_submission_is_no_risk():
    assert risk_of([seen(address=1, prefix=1)]) == IpRisk(score=0, parts=())


def listed(*networks, **limits):
    return told("listed_network", [seen(address=1, networks=networks)], **limits)


@pytest.mark.parametrize(
    ("networks", "limits", "points", "flagged"),
    [
        ([], {}, None, False),
        (["tor"], {}, 60, True),
        (["hosting"], {}, 25, False),
        (["hosting", "tor", "vpn"], {}, 60, True),
        (["somebody-s-list"], {}, 20, False),
        (["asn-64500", "country-zz"], {}, None, False),
        (["asn-64500", "vpn"], {}, 30, False),
        (["hosting"], {"flag_from": 26}, 25, False),
        (["hosting"], {"flag_from": 25}, 25, True),
        (["x"], {"other_points": 0}, None, False),
        (["tor"], {"active": False}, None, False),
    ],
)
def test_listed_networks(networks, limits, points, flagged):
    result = listed(*networks, **limits)
    assert [part.points for part in result.risk] == ([] if points is None else [points])
    assert bool(result.findings) is flagged


def test_network_by_database_counts_when_the_policy_names_it():
    result = listed("asn-64500", points={"asn-64500": 70})
    (finding,) = result.findings
    assert (finding.evidence.used, finding.evidence.limit) == (70, 50)
    assert (finding.evidence.counts, finding.severities) == ({"asn-64500": 70}, (Severity.LOW,))
    assert (finding.first_ms, finding.at_ms) == (at_ms(0), at_ms(0))
    assert result.risk[0].detail == "asn-64500"


async def test_listed_address_is_flagged_once_a_day():
    table = Table()
    for number, at_s in enumerate(every(3600, 30)):
        await table.see(seen(number, at_s, address=1, networks=("tor",), finding=Finding.LIVE))
    assert len([event for event in table.recorded if b"listed_network" in event.document]) == 2
    assert POLICY_NAME.name.encode() in table.recorded[0].document


def part(name, points):
    return RiskPart(name=name, points=points, detail="d")


def test_parts_of_risk_in_order():
    """The largest first; none for nothing, and no more than a hundred together."""
    risk = ip_risk([part("b", 5), part("c", 20), part("a", 5), part("spoof_ratio", 0)])
    assert ([each.name for each in risk.parts], risk.score) == (["c", "a", "b"], 30)
    assert ip_risk([part("listed_network", 100), part("spoof_ratio", 40)]).score == 100


@pytest.mark.parametrize(("explained", "score", "relief"), [(60, 30, -40), (40, 10, -40), (25, 10, -25), (0, 10, None)])
def test_relief_takes_off_what_sharing_explains(explained, score, relief):
    risk = ip_risk([part("ids_on_address", explained), part("spoof_ratio", 10), part("shared_address", -40)])
    assert risk.score == score
    assert [each.points for each in risk.parts if each.points < 0] == ([] if relief is None else [relief])


PARTS = [*sorted(EXPLAINED_BY_SHARING), "spoof_ratio", "listed_network", "address_mismatch"]


@given(st.lists(st.builds(part, st.sampled_from(PARTS), st.integers(0, 100)), max_size=6), st.integers(-100, 0))
def test_relief_leaves_what_it_does_not_explain(parts, relief):
    risk = ip_risk([*parts, part("shared_address", relief)])
    assert risk.score == min(sum(each.points for each in risk.parts), 100)
    assert 0 <= risk.score <= ip_risk(parts).score
    unexplained = sum(each.points for each in parts if each.name not in EXPLAINED_BY_SHARING)
    assert risk.score >= min(unexplained, 100)


@pytest.mark.parametrize(
    ("used", "points"), [(0, 0), (1, 0), (2, 4), (5, 10), (10, 20), (15, 30), (20, 40), (21, 40), (1000, 40)]
)
def test_points_are_in_proportion_up_to_twice(used, points):
    assert graded(used, 10, 20) == points
