"""Fusion of presentation-attack networks and what holds a verdict back, worked by hand."""

from __future__ import annotations

import math

import pytest

from config.limits.signals import PadFusion, SignalWeights
from config.policy import Policy
from stream.pipeline.verdict.aggregation import confidence, held_by, mean_log_odds, weigh
from stream.pipeline.verdict.verdict import VerdictKind, judge
from tests.unit.stream.builders import analysis

#: Texture carries 0.4, networks 0.6; threshold 0.58 with a band of 0.04.
POLICY = Policy(
    weights=SignalWeights(**{**dict.fromkeys(SignalWeights.model_fields, 0.0), "lbp_texture": 0.4}),
    pad_networks=PadFusion(weight=0.6, middle=1.0, spread=2.0, floor=0.0, floors={"a": -2.0}),
    gates={"sharpness": 0.3},
)


def probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def found(sharpness: float = 0.9, texture: float = 0.8, **log_odds: float | None):
    networks = {f"pad_{name}": None if value is None else probability(value) for name, value in log_odds.items()}
    return analysis({"sharpness": sharpness, "lbp_texture": texture, **networks})


def weighed(**given):
    return weigh(found(**given).readings, POLICY)


@pytest.mark.parametrize(
    ("log_odds", "mean"),
    [({"a": 3, "b": 1}, 2.0), ({"a": 20, "b": 0}, 4.0), ({"a": -20}, -8.0), ({"a": 3, "b": None}, 3.0), ({}, None)],
)
def test_mean_of_bounded_log_odds(log_odds, mean):
    assert mean_log_odds(weighed(**log_odds)) == (mean if mean is None else pytest.approx(mean))


@pytest.mark.parametrize(
    ("log_odds", "expected"),
    [
        ({"a": 3, "b": 1}, 0.4 * 0.8 + 0.6 * probability(0.5)),
        ({"a": 1}, 0.4 * 0.8 + 0.6 * 0.5),
        ({"a": -7, "b": None}, 0.4 * 0.8 + 0.6 * probability(-4)),
        ({}, 0.8),
    ],
)
def test_confidence(log_odds, expected):
    assert confidence(weighed(**log_odds), POLICY) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"a": 5, "b": 5}, ()),
        ({"a": -1, "b": 0.5}, ("attack_suspected",)),
        ({"a": -2.5, "b": 8}, ("attack_suspected",)),
        ({"a": 8, "b": -2.5}, ()),
        ({"a": None}, ("pad_networks_absent",)),
        ({}, ("pad_networks_absent",)),
        ({"a": 5, "sharpness": 0.29}, ("sharpness_low",)),
        ({"a": 5, "sharpness": 0.3}, ()),
        ({"a": -5, "sharpness": 0.1}, ("attack_suspected", "sharpness_low")),
    ],
)
def test_held_by(given, held):
    assert held_by(weighed(**given), POLICY) == held


@pytest.mark.parametrize(
    ("given", "kind", "reasons"),
    [
        ({"a": 8, "b": 8}, VerdictKind.LIVE, ()),
        ({"a": 8, "b": -2.5, "texture": 1.0}, VerdictKind.LIVE, ("pad_b_low",)),
        ({"a": -2.5, "b": 8, "texture": 1.0}, VerdictKind.INCONCLUSIVE, ("attack_suspected", "pad_a_low")),
        ({"a": -6, "b": -6}, VerdictKind.SPOOF, ("attack_suspected", "pad_a_low", "pad_b_low")),
        ({"texture": 1.0}, VerdictKind.INCONCLUSIVE, ("pad_networks_absent",)),
        ({"a": 8, "sharpness": 0.1}, VerdictKind.INCONCLUSIVE, ("sharpness_low",)),
        ({"a": 8, "sharpness": 0.4}, VerdictKind.LIVE, ()),
    ],
)
def test_verdict(given, kind, reasons):
    """A signal without weight and gate gives no reason."""
    verdict = judge(found(**given), POLICY)
    assert (verdict.kind, verdict.reasons) == (kind, reasons)
    assert verdict.confidence is not None
    assert (verdict.confidence >= 0.62) is (kind is VerdictKind.LIVE)


def test_weights_of_networks_shown():
    """Networks share their part equally; one that failed has none."""
    shown = {each.reading.name: each.weight for each in weighed(a=1, b=2, c=None)}
    assert (shown["pad_a"], shown["pad_b"], shown["pad_c"]) == (0.3, 0.3, 0.0)
    assert sum(shown.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"pad_networks": {"weight": 0.1}},
        {"gates": {"palm": 0.1}},
        {"gates": {"sharpness": 1.1}},
        {"pad_networks": {"spread": 0}},
    ],
)
def test_policies_that_can_not_work(keys):
    with pytest.raises(ValueError, match=r"sum to 1|no signal palm|less than or equal|greater than"):
        Policy.model_validate(keys)
