"""Evaluation under policies with presentation-attack networks: networks by name, and verdicts that floors hold back."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date
from typing import Any

import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import LEARNED, SIGNALS, Policy, load
from detectors.contract import Analysis
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.calibration import Proposal, calibrate
from stream.evaluation.comparison import comparison, comparison_tables
from stream.evaluation.figures import document
from stream.evaluation.judged import judged
from stream.evaluation.operating import threshold_at, trade_off
from stream.evaluation.plots import det_plot
from stream.evaluation.proposal import policy_file, proposal_document, proposal_headline, proposal_tables
from stream.evaluation.rates import ErrorRate
from stream.evaluation.words import headline, tables
from stream.pipeline.verdict.verdict import live_bound
from tests.unit.stream.builders import analysis
from tests.unit.stream.evaluation.builders import presentation

#: Texture 0.4, networks 0.6; LIVE from 0.62; log-odds of the mean below 0, or of `a` below -3, hold a verdict.
POLICY = Policy.model_validate(
    {
        "weights": {**dict.fromkeys(Policy().weights.model_dump(), 0.0), "lbp_texture": 0.4},
        "pad_networks": {"weight": 0.6, "floor": 0.0, "floors": {"a": -3.0}},
        "gates": {"sharpness": 0.3},
    }
)


def seen(
    name: str, a: float | None, b: float | None, species: str = "", source: str = "lab", **signals: float
) -> AnalysedPresentation:
    """Presentation with the log-odds of two networks, every other signal at 0.9."""
    networks = {f"pad_{n}": None if odds is None else 1 / (1 + math.exp(-odds)) for n, odds in (("a", a), ("b", b))}
    every = dict.fromkeys(POLICY.weights.model_dump(), 0.9)
    return AnalysedPresentation(presentation(name, species, source), analysis({**every, **networks, **signals}))


NO_FACE = AnalysedPresentation(presentation("n"), Analysis(error=ErrorCode.NO_FACE_DETECTED))
#: A non-response first; of three people one is below the floor and one blurred, of two prints one below the floor.
SET = [
    NO_FACE,
    seen("p1", 4, 2),
    seen("p2", -2, 1),
    seen("p3", 4, None, sharpness=0.1),
    seen("a1", -1, -1, "print"),
    seen("a2", 2, 2, "print"),
]


def figures(policy: Policy = POLICY) -> dict[str, Any]:
    return document("set", judged(SET, policy), policy)


def test_networks_by_name() -> None:
    """Verdicts on errors have the eight signals alone, and a network may fail on one picture."""
    signals = figures()["signals"]
    rows = {name: (each["weight"], each["auc"], each["not_scored"]) for name, each in signals.items()}
    assert len(rows) == 11
    # of `a` 4, -2, 4 against -1, 2; of `b` 2, 1 against -1, 2; of the mean 3, -0.5, 4 against -1, 2
    assert rows["pad_a"] == (0.3, pytest.approx(4 / 6, abs=1e-6), 0)
    assert rows["pad_b"] == (0.3, pytest.approx(2.5 / 4), 1)
    assert rows["pad_networks"] == (0.6, pytest.approx(5 / 6, abs=1e-6), 0)
    assert [each["signals"]["pad_b"] is None for each in figures()["pictures"]] == [
        True,
        *[False] * 2,
        True,
        *[False] * 2,
    ]
    (shown,) = (rows for title, _, rows in tables(figures()) if title == "AUC of the signals")
    assert [row[0] for row in shown][8:] == ["pad_a", "pad_b", "Networks together"]


def test_held_at_every_bound() -> None:
    """A verdict that is held moves with the threshold, so that no LIVE bound lets it through."""
    found = figures()
    summary = found["summary"]
    assert [each["held"] for each in found["pictures"]] == [False, False, True, True, True, False]
    assert (summary["held_counts"], summary["bpcer_counts"]) == ([2, 3], [2, 3])
    assert [(point["threshold"], point["apcer"]) for point in summary["apcer_at_bpcer"]] == [(None, None)] * 3
    assert summary["at_spoof_bound"]["bpcer_counts"] == [0, 3]  # held verdicts are INCONCLUSIVE, at the threshold
    assert any(line.endswith("(2 of 3) at any threshold") for line in headline(found))
    # Two points, the other print's confidence and the first person's: two of three people are refused at both.
    (curve,) = re.findall(r' d="([^"]*)"', det_plot(found))
    assert re.fullmatch(r"M(?P<across>[\d.]+) [\d.]+H(?P=across)V[\d.]+", curve)


def test_sweep_without_those_held() -> None:
    held = -math.inf
    assert threshold_at(0.5, [held, 0.3, 0.7]) == 0.3
    assert threshold_at(0.0, [held, 0.3, 0.7]) is None
    assert trade_off([held, 0.7], [held, 0.5]) == [(0.5, 0.5, 0.5), (0.7, 0.5, 0.0)]


@pytest.mark.parametrize("policies", [(SIGNALS, LEARNED), (LEARNED, SIGNALS)])
def test_policies_with_and_without_compared(policies: tuple[Any, Any]) -> None:
    without = [
        each
        if each is NO_FACE
        else AnalysedPresentation(each.presentation, analysis(dict.fromkeys(Policy().weights.model_dump(), 0.9)))
        for each in SET
    ]
    documents = []
    for path in policies:
        policy = load(path)
        documents.append(document("set", judged(SET if path is LEARNED else without, policy), policy))
    compared = comparison(*documents)
    assert [each["path"] for each in compared["turned"]] == ["p2", "p3", "a1"]
    assert len(list(comparison_tables(compared))) == 3


def calibrated(policy: Policy = POLICY, bpcer: float = 0.2) -> Proposal:
    """Ten people of two sources whose networks say 2 and -1, ten prints of two that say -3."""
    people = [seen(f"{source}{n}", odds, odds, "", source) for source, odds in (("x", 2), ("y", -1)) for n in range(5)]
    prints = [seen(f"{source}{n}", -3, -3, "print", source) for source in ("u", "v") for n in range(5)]
    return calibrate([NO_FACE, *people, *prints], policy, bpcer)


def test_floors_from_other_sources() -> None:
    """Floors move to the lowest person's -1 when these people are seen, and stay at even odds when they are left out:
    all held."""
    found = calibrated()
    assert found.chosen.bpcer == ErrorRate(5, 10)
    assert found.chosen.apcer == {"print": ErrorRate(0, 10)}
    networks = found.policy.pad_networks
    assert (networks.floor, networks.floors["a"]) == (pytest.approx(-1.0, abs=2e-4), pytest.approx(-4.0, abs=2e-4))
    lower, higher = (0.4 * 0.9 + 0.6 / (1 + math.exp(-odds)) for odds in (-1, 2))
    assert live_bound(found.policy) == pytest.approx(lower - (higher - lower) / 2, abs=1e-4)
    assert not found.bounded
    assert (networks.weight, found.policy.gates) == (0.6, POLICY.gates)


def test_floors_do_not_know_those_left_out() -> None:
    """People of `y` have the higher confidence and the lower log-odds: what `x` asks for refuses them by its floors,
    and what they ask for refuses `x` by its threshold."""
    people = [seen(f"x{n}", 1.5, 1.5, "", "x", lbp_texture=0.1) for n in range(5)]
    people += [seen(f"y{n}", -1, -1, "", "y", lbp_texture=1.0) for n in range(5)]
    prints = [seen(source, -3, -3, "print", source) for source in ("u", "v")]
    assert calibrate([*people, *prints], POLICY, 0.2).chosen.bpcer == ErrorRate(10, 10)


@pytest.mark.parametrize(
    ("gate", "bounded"),
    [({}, False), ({"sharpness": 0.95}, True)],
)
def test_held_beyond_bpcer_is_told(gate: dict[str, float], bounded: bool) -> None:
    """Gates stay, even where they refuse everybody."""
    found = calibrated(Policy.model_validate({**POLICY.model_dump(), "gates": gate}))
    assert found.bounded is bounded
    if bounded:
        assert found.chosen.bpcer == ErrorRate(10, 10)


@pytest.mark.parametrize("share", [0.0, 0.54, 0.12345678, 0.97, 0.999])
def test_weights_leave_the_networks_share(share: float) -> None:
    """Spectrum tells, eyes tell too but have no weight in the present policy."""
    weights = {**dict.fromkeys(Policy().weights.model_dump(), 0.0), "lbp_texture": 0.7, "fft_deepfake": 0.3}
    weights = {name: weight * (1 - share) for name, weight in weights.items()}
    policy = Policy.model_validate({"weights": weights, "pad_networks": {"weight": share}})
    told = [("x", "", 0.9), ("y", "", 0.9), ("u", "print", 0.1), ("v", "print", 0.1)]
    pictures = [
        seen(f"{source}{n}", 0, 0, species, source, fft_deepfake=clear, eye_aspect_ratio=clear, lbp_texture=n / 6)
        for source, species, clear in told
        for n in range(6)
    ]
    found = calibrate(pictures, policy, 0.05)
    proposed = found.policy.weights.model_dump()
    assert sum(proposed.values()) == pytest.approx(1 - share)
    assert proposed["eye_aspect_ratio"] == 0.0
    assert (proposed["fft_deepfake"] > weights["fft_deepfake"]) is (share < 0.98)
    assert found.policy.pad_networks.weight == share


def test_proposal_tells_floors() -> None:
    found = calibrated()
    evaluated = document("set", judged(SET, found.policy), found.policy)
    proposed = proposal_document(found, POLICY, evaluated, date(2026, 11, 28))
    assert proposed["from"]["floors"] == {"mean of the networks": 0.0, "a": -3.0}
    assert [title for title, _, _ in proposal_tables(proposed)][1:] == ["Weights", "Floors of log-odds"]
    assert any("floors of the networks" in line for line in proposal_headline(proposed))
    read = Policy.model_validate(tomllib.loads(policy_file(found.policy, proposed)))
    assert read.pad_networks == found.policy.pad_networks
    assert read.sha256 == found.policy.sha256
    alone = {**proposed, "from": {**proposed["from"], "floors": {}}, "policy": {**proposed["policy"], "floors": {}}}
    assert len(list(proposal_tables(alone))) == 2
