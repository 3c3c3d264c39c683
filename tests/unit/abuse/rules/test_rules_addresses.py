"""Addresses: people who share one are left alone, those who attack from one are not; listed networks."""

from __future__ import annotations

import pytest

from abuse.flags.flags import Severity
from abuse.observation import Finding
from abuse.rules.base import NOTHING
from abuse.rules.ip_risk import ip_risk
from abuse.rules.shared_address import surely
from abuse.subjects import SubjectType
from config.abuse import AbusePolicy
from tests.unit.abuse.builders import POLICY_NAME, Table, at_ms, every, guid, seen, told

ADDRESS_RULES = ("address_velocity", "many_ids_on_address", "shared_address", "listed_network")


def crowd(people, attacks, *, step_s=60.0, **changes):
    """Submissions of so many people from one address, the attacks evenly spread among them."""
    spoofs = {round(number * people / attacks) for number in range(attacks)} if attacks else set()
    return [
        seen(
            number + 1,
            number * step_s,
            who=number + 1,
            finding=Finding.SPOOF if number in spoofs else Finding.LIVE,
            address=1,
            prefix=1,
            **changes,
        )
        for number in range(people)
    ]


def risk_of(observations, but=None):
    return ip_risk(part for rule in ADDRESS_RULES if rule != but for part in told(rule, observations).risk)


async def flags_on_addresses(observations):
    table = Table()
    assessment = await table.see(*observations)
    of_addresses = [
        event for event in table.recorded if event.subject.type in (SubjectType.ADDRESS, SubjectType.PREFIX)
    ]
    return assessment, of_addresses


async def test_an_address_that_two_hundred_share_is_not_flagged_and_its_risk_is_lowered():
    """Two attacks in a hundred: at no moment, from the first person to the last, is there a flag."""
    observations = crowd(200, 4)
    assessment, events = await flags_on_addresses(observations)
    assert events == []
    parts = {part.name: part.points for part in assessment.ip_risk.parts}
    assert parts["ids_on_address"] > 0
    assert parts["shared_address"] < 0
    assert assessment.ip_risk == risk_of(observations)
    assert assessment.ip_risk.score <= risk_of(observations, but="shared_address").score - 30


async def test_seventeen_ids_that_attack_from_one_address_are_flagged_and_named():
    observations = crowd(17, 15)
    assessment, events = await flags_on_addresses(observations)
    (event,) = events
    assert event.document.count(b'"why":"spoof"') >= 13
    (flag,) = (flag for flag in assessment.flags if flag.subject.type is SubjectType.ADDRESS)
    assert (flag.kind, flag.severity, flag.enforced) == ("many_ids_on_address", Severity.MEDIUM, False)
    named = {each["correlation_id"] for each in flag.event["evidence"]["linked"]}
    assert named == {guid(number) for number in range(1, 16)}, "the fifteen that reached the limit"
    assert assessment.ip_risk.score >= 60
    (finding,) = (
        f for f in told("many_ids_on_address", observations).findings if f.subject.type is SubjectType.ADDRESS
    )
    assert {each.correlation_id for each in finding.evidence.linked} == {guid(number) for number in range(1, 18)}
    assert finding.evidence.counts["attacks"] == 15


@pytest.mark.parametrize(
    ("people", "attacks", "shared"),
    [
        (14, 0, False),
        (15, 0, True),
        (15, 2, True),
        (15, 3, True),
        (15, 4, False),
        (30, 6, True),
        (30, 7, False),
        (200, 28, True),
        (200, 29, False),
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
def test_the_share_that_is_surely_there(found, of, share):
    """Values of the published formula, to be found in any table of Wilson intervals."""
    assert surely(found, of) == pytest.approx(share, abs=2e-4)


def test_a_shared_address_is_spared_its_velocity_too():
    assert told("address_velocity", crowd(60, 0, step_s=10)).findings == ()
    (finding,) = told("address_velocity", crowd(60, 30, step_s=10)).findings
    assert finding.evidence.used == 60


def test_with_the_relief_switched_off_sharing_excuses_nothing():
    off = {"shared_address": {"active": False}}
    observations = crowd(60, 0)
    assert told("shared_address", observations, active=False) == NOTHING
    kinds = {f.subject.type for f in told("many_ids_on_address", observations, others=off).findings}
    assert kinds == {SubjectType.ADDRESS, SubjectType.PREFIX}


def test_a_prefix_has_a_limit_of_its_own():
    observations = [seen(number, number, who=number, address=number, prefix=1) for number in range(1, 61)]
    (finding,) = told("many_ids_on_address", observations).findings
    assert (finding.subject.type, finding.evidence.used, finding.evidence.limit) == (SubjectType.PREFIX, 60, 60)
    assert told("many_ids_on_address", observations[:-1]).findings == ()


@pytest.mark.parametrize(
    ("submissions", "points"), [(1, 0), (2, 1), (30, 10), (60, 20), (90, 30), (120, 40), (200, 40)]
)
def test_the_risk_of_velocity_is_graded(submissions, points):
    observations = [seen(number, number, address=1) for number in range(submissions)]
    (part,) = told("address_velocity", observations).risk
    assert (part.name, part.points) == ("address_velocity", points)
    assert str(submissions) in part.detail


@pytest.mark.parametrize(("attacks", "points"), [(0, 0), (1, 10), (2, 20), (4, 40)])
def test_attacks_weigh_by_their_share(attacks, points):
    parts = {part.name: part.points for part in told("many_ids_on_address", crowd(4, attacks)).risk}
    assert parts["spoof_ratio"] == points


def test_one_submission_is_no_risk():
    assert risk_of([seen(address=1, prefix=1)]).score == 0
    assert risk_of([seen(address=1, prefix=1)]).parts == ()


@pytest.mark.parametrize(
    ("networks", "points", "flagged"),
    [
        ((), None, False),
        (("tor",), 60, True),
        (("hosting",), 25, False),
        (("hosting", "tor", "vpn"), 60, True),
        (("somebody-s-list",), 20, False),
        (("asn-64500", "country-zz"), None, False),
        (("asn-64500", "vpn"), 30, False),
    ],
)
def test_listed_networks(networks, points, flagged):
    result = told("listed_network", [seen(address=1, networks=networks)])
    assert [part.points for part in result.risk] == ([] if points is None else [points])
    assert bool(result.findings) is flagged


def test_a_network_by_database_counts_when_the_policy_names_it():
    result = told("listed_network", [seen(address=1, networks=("asn-64500",))], points={"asn-64500": 70})
    (finding,) = result.findings
    assert (finding.evidence.used, finding.evidence.limit) == (70, 50)
    assert finding.evidence.counts == {"asn-64500": 70}
    assert finding.severities == (Severity.LOW,)
    assert (finding.first_ms, finding.at_ms) == (at_ms(0), at_ms(0))
    assert result.risk[0].detail == "asn-64500"


def test_the_flag_of_a_listed_network_begins_at_its_points():
    observation = seen(address=1, networks=("hosting",))
    assert told("listed_network", [observation], flag_from=26).findings == ()
    assert told("listed_network", [observation], flag_from=25).findings


def test_a_list_without_points_is_no_risk():
    assert told("listed_network", [seen(address=1, networks=("x",))], other_points=0) == NOTHING


def test_an_inactive_list_tells_nothing():
    assert told("listed_network", [seen(address=1, networks=("tor",))], active=False) == NOTHING


async def test_a_listed_address_is_flagged_once_a_day():
    table = Table()
    for number, at_s in enumerate(every(3600, 30)):
        await table.see(seen(number, at_s, address=1, networks=("tor",), finding=Finding.LIVE))
    assert len([event for event in table.recorded if b"listed_network" in event.document]) == 2
    assert POLICY_NAME.name.encode() in table.recorded[0].document
    assert AbusePolicy().listed_network.enforced is False
