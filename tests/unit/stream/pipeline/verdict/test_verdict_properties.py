"""Verdicts for any policy and readings: the scales agree, and no verdict fails open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.limits.signals import SignalParameters, SignalWeights
from config.policy import HIGHEST_BAND, LOWEST_BAND, Policy
from detectors.catalogue import SIGNAL_LABELS
from stream.pipeline.verdict.verdict import ScoreOutcome, VerdictKind, judge, kind_for, score_for
from tests.unit.stream.builders import analysis

NAMES = tuple(SIGNAL_LABELS)
RANK = {ScoreOutcome.ERROR: 0, ScoreOutcome.FAIL: 1, ScoreOutcome.REVIEW: 2, ScoreOutcome.SUCCESS: 3}
EXPECTED = {
    VerdictKind.LIVE: (ScoreOutcome.SUCCESS, range(75, 101)),
    VerdictKind.INCONCLUSIVE: (ScoreOutcome.REVIEW, range(60, 75)),
    VerdictKind.SPOOF: (ScoreOutcome.FAIL, range(1, 60)),
}

unit = st.floats(0, 1)
#: Published confidences have four digits; the scales must hold for any float all the same.
confidences = unit | st.integers(0, 10_000).map(lambda n: n / 10_000)


@st.composite
def policies(draw) -> Policy:
    band = draw(st.floats(0.001, 0.199))
    threshold = draw(st.floats(LOWEST_BAND + band, HIGHEST_BAND - band))
    weights = draw(st.lists(st.integers(0, 100), min_size=7, max_size=7))
    heaviest = max(weights) + 1
    shares = [weight / (sum(weights) + heaviest) for weight in (*weights, heaviest)]
    names = [*(name for name in NAMES if name != "lbp_texture"), "lbp_texture"]
    try:
        return Policy(
            inconclusive_band=band,
            parameters=SignalParameters(live_threshold=threshold),
            weights=SignalWeights(**dict(zip(names, shares, strict=True))),
        )
    except ValidationError:  # the last digit of threshold and band together
        return Policy()


readings = st.dictionaries(st.sampled_from(NAMES), st.none() | unit, min_size=1, max_size=8)


def edges(policy: Policy) -> list[float]:
    threshold, band = policy.parameters.live_threshold, policy.inconclusive_band
    around = (threshold - band, threshold, threshold + band, 0.8)
    return [min(max(edge + step, 0.0), 1.0) for edge in around for step in (-1e-4, -1e-12, 0.0, 1e-12, 1e-4)]


@given(policies(), st.lists(confidences, max_size=10))
def test_verdict_outcome_and_score_agree_and_rise_together(policy, values):
    ranked = [
        (kind_for(value, policy), score_for(value, policy)) for value in sorted([*values, *edges(policy), 0.0, 1.0])
    ]
    for answer, score in ranked:
        assert score in EXPECTED[answer][1]
    assert [score for _, score in ranked] == sorted(score for _, score in ranked)
    assert ranked[0][1] == 1
    assert ranked[-1] == (VerdictKind.LIVE, 100)


@given(policies(), readings)
def test_a_judged_analysis_agrees_with_what_it_publishes(policy, values):
    verdict = judge(analysis(values), policy)
    if verdict.confidence is None:
        assert all(value is None for value in values.values())
        assert (verdict.kind, verdict.outcome, verdict.score) == (VerdictKind.INCONCLUSIVE, ScoreOutcome.ERROR, 0)
        return
    assert verdict.confidence == round(verdict.confidence, 4)
    assert 0 <= verdict.confidence <= 1
    assert kind_for(verdict.confidence, policy) is verdict.kind
    outcome, scores = EXPECTED[verdict.kind]
    assert (verdict.outcome, verdict.error) == (outcome, None)
    assert verdict.score in scores


@given(policies(), readings, st.data())
def test_removing_failing_or_lowering_a_reading_never_raises_anything(policy, values, data):
    name = data.draw(st.sampled_from(sorted(values)))
    lower = st.just(None) if values[name] is None else st.none() | st.floats(0, values[name])
    without = {other: value for other, value in values.items() if other != name}
    weaker = data.draw(st.just(without) | lower.map(lambda value: {**values, name: value}))
    before, after = judge(analysis(values), policy), judge(analysis(weaker), policy)
    assert after.score <= before.score
    assert RANK[after.outcome] <= RANK[before.outcome]
    assert (after.confidence or 0) <= (before.confidence or 0)
    assert (after.kind is VerdictKind.LIVE) <= (before.kind is VerdictKind.LIVE)
