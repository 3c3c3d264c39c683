"""Detector groups and the verdict: lowered by what they found or did not find, never raised."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from config.policy import Policy
from detectors.contract import Reading, ReadingStatus
from stream.events.message.findings import GroupFault, GroupResult
from stream.pipeline.verdict.counterfactuals import counterfactual
from stream.pipeline.verdict.group_gate import with_groups
from stream.pipeline.verdict.verdict import Verdict, VerdictKind, verdict_on
from tests.unit.stream.builders import analysis
from tests.unit.stream.pipeline.join_cases import DEPTH

TWO = Policy.model_validate({"groups": {"depth": {"least": 0.6, "attack": 0.3}, "ear": {"least": 0.5}}})
KINDS = list(VerdictKind)
OURS = (0.95, 0.58, 0.1)
THEIRS = (None, 0.0, 0.29, 0.3, 0.59, 0.6, 1.0)


def result(*values: float | None, group: str = "depth", reason: str = "") -> GroupResult:
    readings = tuple(
        Reading(
            name=f"group_{group}_flatness",
            label="Flatness",
            status=ReadingStatus.ABSTAINED if value is None else ReadingStatus.SCORED,
            liveness=value or 0.0,
            reason=reason,
            detail="measured",
        )
        for value in values
    )
    return GroupResult(group=group, readings=readings)


def fault(kind: GroupFault, group: str = "depth") -> GroupResult:
    return GroupResult(group=group, fault=kind)


def judged(ours: float, *results: GroupResult, encrypted: bool = False, policy: Policy = TWO) -> Verdict:
    verdict = verdict_on((analysis(ours),), policy, encrypted=encrypted)
    return with_groups(verdict, results, policy, encrypted=encrypted)


@pytest.mark.parametrize(
    ("results", "kind", "reason"),
    [
        ([result(0.6)], "LIVE", None),
        ([result(0.59)], "INCONCLUSIVE", "group_depth_flatness_low"),
        ([result(0.59, reason="group_depth_flat")], "INCONCLUSIVE", "group_depth_flat"),
        ([result(0.3)], "INCONCLUSIVE", "group_depth_flatness_low"),
        ([result(0.29)], "SPOOF", "group_depth_flatness_low"),
        ([result(None)], "INCONCLUSIVE", "group_depth_flatness_low"),
        ([result(0.9, 0.29, 0.5)], "SPOOF", "group_depth_flatness_low"),
        ([fault(GroupFault.MISSING)], "INCONCLUSIVE", "group_missing"),
        ([fault(GroupFault.CONTRADICTORY)], "INCONCLUSIVE", "group_contradictory"),
        ([result(0.9), fault(GroupFault.MISSING, "ear")], "INCONCLUSIVE", "group_missing"),
        ([fault(GroupFault.MISSING, "ear"), result(0.1)], "SPOOF", "group_depth_flatness_low"),
        ([result(0.99, group="unknown")], "INCONCLUSIVE", "group_unknown_flatness_low"),
    ],
)
def test_what_a_group_says(results, kind, reason):
    verdict = judged(0.95, *results)
    assert (str(verdict.kind), next(iter(verdict.reasons), None)) == (kind, reason)
    assert verdict.by_groups is (reason is not None)
    assert (counterfactual(verdict, TWO) is None) is verdict.by_groups


@pytest.mark.parametrize("encrypted", [False, True])
def test_never_raised(encrypted):
    for ours, depth, ear in itertools.product(OURS, THEIRS, THEIRS):
        alone = judged(ours, encrypted=encrypted)
        both = judged(ours, result(depth), result(ear, group="ear"), encrypted=encrypted)
        assert (both.confidence or 0.0) <= (alone.confidence or 0.0)
        assert both.score <= alone.score
        assert (both.outcome == "SUCCESS") <= (alone.outcome == "SUCCESS")
        assert (both.kind is VerdictKind.LIVE) <= (alone.kind is VerdictKind.LIVE)


def test_encrypted_follows_the_flags():
    """An attack by the face alone, sent encrypted, goes to review."""
    verdict = judged(0.95, result(0.1), encrypted=True)
    assert (str(verdict.face), str(verdict.outcome), str(verdict.kind)) == ("Not Live", "REVIEW", "SPOOF")


def test_shown_once_a_name():
    verdict = judged(0.95, result(0.9, None, 0.7), policy=DEPTH)
    shown = [signal for signal in verdict.signals if signal.reading.is_of_group]
    assert [(signal.score, signal.weight) for signal in shown] == [(0.7, 0.0)]


@pytest.mark.parametrize(
    ("liveness", "passed"), [(None, False), (0.5, False), (0.59, False), (0.599, False), (0.6, True), (0.9, True)]
)
def test_passed_by_the_groups_own_limit(liveness, passed):
    """As the gate has it, up to the last digit."""
    verdict = judged(0.95, result(liveness))
    (shown,) = (signal for signal in verdict.signals if signal.reading.is_of_group)
    assert shown.passed is passed is (verdict.kind is VerdictKind.LIVE)


@pytest.mark.parametrize(
    ("ours", "theirs", "codes"),
    [
        (("face_too_small",), 0.5, ["another_photo"]),
        (("face_too_small",), 0.1, ["live_camera"]),
        ((), None, ["another_photo"]),
    ],
)
def test_advice_is_on_what_holds(ours, theirs, codes):
    """The advice asks for no change of what kept nothing from LIVE."""
    verdict = replace(verdict_on((analysis(0.95),), TWO), reasons=ours)
    lowered = with_groups(verdict, [result(theirs)], TWO, encrypted=False)
    assert [each.code for each in lowered.advice] == codes


def test_own_reasons_that_hold_too():
    verdict = replace(verdict_on((analysis(0.58),), TWO), reasons=("face_too_small",))
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    lowered = with_groups(verdict, [result(0.5)], TWO, encrypted=False)
    assert [each.code for each in lowered.advice] == ["another_photo", "come_closer"]


def test_error_stays():
    policy = TWO
    error = verdict_on((analysis({}),), policy)
    assert with_groups(error, [result(0.1)], policy, encrypted=False) is error
