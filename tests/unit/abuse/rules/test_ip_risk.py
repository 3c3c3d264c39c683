"""IP risk: parts that add up, a relief that takes off no more than it explains, never beyond its scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.rules.base import RiskPart
from abuse.rules.ip_risk import EXPLAINED_BY_SHARING, IpRisk, ip_risk
from abuse.rules.risk import graded


def part(name, points):
    return RiskPart(name=name, points=points, detail="d")


def test_nothing_told_is_no_risk():
    assert ip_risk([]) == IpRisk(score=0, parts=())
    assert ip_risk([part("spoof_ratio", 0)]) == IpRisk(score=0, parts=())


def test_the_largest_part_comes_first():
    risk = ip_risk([part("b", 5), part("c", 20), part("a", 5)])
    assert [each.name for each in risk.parts] == ["c", "a", "b"]
    assert risk.score == 30


@pytest.mark.parametrize(("explained", "score", "relief"), [(60, 30, -40), (40, 10, -40), (25, 10, -25), (0, 10, None)])
def test_a_relief_takes_off_what_sharing_explains(explained, score, relief):
    risk = ip_risk([part("ids_on_address", explained), part("spoof_ratio", 10), part("shared_address", -40)])
    assert risk.score == score
    assert [each.points for each in risk.parts if each.points < 0] == ([] if relief is None else [relief])


def test_the_scale_ends_at_a_hundred():
    assert ip_risk([part("listed_network", 100), part("spoof_ratio", 40)]).score == 100


parts = st.lists(
    st.builds(
        part,
        st.sampled_from([*sorted(EXPLAINED_BY_SHARING), "spoof_ratio", "listed_network", "address_mismatch"]),
        st.integers(0, 100),
    ),
    max_size=6,
)


@given(parts, st.integers(-100, 0))
def test_parts_add_up_and_a_relief_never_goes_below_what_it_does_not_explain(told, relief):
    risk = ip_risk([*told, part("shared_address", relief)])
    assert risk.score == min(sum(each.points for each in risk.parts), 100)
    assert 0 <= risk.score <= ip_risk(told).score
    unexplained = sum(each.points for each in told if each.name not in EXPLAINED_BY_SHARING)
    assert risk.score >= min(unexplained, 100)


@pytest.mark.parametrize(
    ("used", "points"), [(0, 0), (1, 0), (2, 4), (5, 10), (10, 20), (15, 30), (20, 40), (21, 40), (1000, 40)]
)
def test_points_are_in_proportion_up_to_twice(used, points):
    assert graded(used, 10, 20) == points
