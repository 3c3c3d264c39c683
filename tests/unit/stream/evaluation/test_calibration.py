"""Calibration: a fit is counted on sources it has not seen, and written as a policy that can be read."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest

from config.catalogues.detector_catalogue import DETECTORS
from config.catalogues.error_codes import ErrorCode
from config.limits.signals import HEAVIEST, SignalWeights
from config.policy import Policy
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.calibration import NotEnoughSources, Proposal, calibrate
from stream.evaluation.figures import document
from stream.evaluation.judged import judged
from stream.evaluation.proposal import policy_file, proposal_document, proposal_headline, proposal_tables
from stream.evaluation.rates import ErrorRate
from stream.evaluation.weighing import fitted, lawful, rounded
from stream.pipeline.verdict.verdict import live_bound
from tests.unit.stream.evaluation.builders import analysed, presentation
from tests.unit.stream.evaluation.picture_reader import analysis

NAMES = list(DETECTORS)


def pictures(count: int, liveness: float, source: str, species: str = "") -> list[AnalysedPresentation]:
    return [analysed(f"{source}{number}", liveness, species, source) for number in range(count)]


def test_counted_on_sources_left_out() -> None:
    """People of one camera look less live than attacks: a fit that has seen some of them would accept the others."""
    webcam, phone = pictures(10, 0.3, "webcam"), pictures(30, 0.7, "phone")
    attacks = pictures(4, 0.5, "studio", "print") + pictures(4, 0.05, "film", "print")
    found = calibrate(webcam + phone + attacks, Policy(), 0.0)
    assert {source for fold in found.folds for source in fold} == {"webcam", "phone", "studio", "film"}
    assert [len(fold) for fold in found.folds] == [1, 1, 1, 1]
    # Without the webcam LIVE is from 0.7 and all of it are refused; with it from 0.3, less the 0.2 by which the bound
    # differs between the two cameras, and the studio gets through.
    assert found.chosen.bpcer == ErrorRate(10, 40)
    assert found.chosen.apcer == {"print": ErrorRate(4, 8)}
    assert live_bound(found.policy) == pytest.approx(0.1)
    assert not found.bounded


def telling(liveness: float, source: str, species: str = "", number: int = 0) -> AnalysedPresentation:
    """Presentation in which the spectrum alone tells; of the other signals most are high for every second one."""
    other = 0.9 if number % 2 else 0.1
    found = analysis(other, {"fft_deepfake": liveness, HEAVIEST: 0.5})
    return AnalysedPresentation(presentation(f"{source}{number}", species, source), found)


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    people = [telling(0.9, source, number=number) for source in ("a", "b") for number in range(6)]
    attacks = [telling(0.2, source, "mask", number) for source in ("c", "d") for number in range(6)]
    return calibrate(people + attacks, Policy(), 0.05)


def test_telling_signal_gains(proposal: Proposal) -> None:
    """By the mixture nearest to the present weights that tells all apart; the heaviest signal stays the heaviest."""
    weights = proposal.policy.weights.model_dump()
    assert proposal.chosen.mixture > 0
    assert weights["fft_deepfake"] > DETECTORS["fft_deepfake"].weight
    assert weights[HEAVIEST] > weights["fft_deepfake"]
    assert proposal.chosen.order > proposal.trials[0].order
    assert proposal.policy.name == "signals-calibrated"


def test_threshold_within_limits() -> None:
    people = pictures(3, 0.95, "a") + pictures(3, 0.96, "b")
    found = calibrate(people + pictures(3, 0.1, "c", "mask") + pictures(3, 0.1, "d", "mask"), Policy(), 0.05)
    assert found.bounded
    assert live_bound(found.policy) == pytest.approx(0.79)


@pytest.mark.parametrize(
    "some",
    [
        pictures(5, 0.9, "a") + pictures(5, 0.1, "b", "mask") + pictures(5, 0.1, "c", "mask"),
        pictures(5, 0.9, "a") + pictures(5, 0.9, "b") + pictures(5, 0.1, "b", "mask"),
        [*pictures(5, 0.9, "a"), analysed("b", ErrorCode.NO_FACE_DETECTED), *pictures(5, 0.1, "b", "mask")],
        [],
    ],
)
def test_too_few_sources(some: Sequence[AnalysedPresentation]) -> None:
    with pytest.raises(NotEnoughSources, match="sources"):
        calibrate(some, Policy(), 0.05)


@pytest.mark.parametrize("largest", NAMES)
def test_weights_are_lawful(largest: str) -> None:
    """Weights of one signal alone, of two, and of all alike, end as weights that a policy takes."""
    alone, shared = np.zeros(len(NAMES)), np.full(len(NAMES), 0.5 / (len(NAMES) - 1))
    alone[NAMES.index(largest)], shared[NAMES.index(largest)] = 1.0, 0.5
    for weights in (alone, shared, np.full(len(NAMES), 1 / len(NAMES))):
        assert sum(SignalWeights.model_validate(rounded(lawful(weights))).model_dump().values()) == pytest.approx(1)
    kept = np.zeros(len(NAMES))
    kept[NAMES.index(HEAVIEST)], kept[0] = 0.6, 0.4
    assert lawful(kept) == pytest.approx(kept)


def test_nothing_to_learn() -> None:
    """Signals that are higher for attacks get no weight, rather than a negative one."""
    liveness = np.array([[0.1] * len(NAMES), [0.9] * len(NAMES)])
    assert fitted(liveness, np.array([True, False]), np.array([0.5, 0.5])) is None


def test_policy_file(proposal: Proposal) -> None:
    """Names of folders and sources end no line, and all of the policy but its provenance is kept."""
    changed = {
        "provenance": {"method": "by hand"},
        "image": {"max_bytes": 5},
        "framing": {"ideal_face_area": [0.2, 0.3]},
        "abuse": {"excessive_retries": {"failures": 9}},
    }
    policy = Policy.model_validate({**proposal.policy.model_dump(exclude_defaults=True), **changed})
    evaluated = document('set \U0001f600\x7f\udc80\nname = "evil"\n', judged([analysed("p", 0.7)], policy), policy)
    proposed = proposal_document(proposal, Policy(), evaluated, date(2026, 11, 28))
    text = policy_file(policy, proposed)
    read = Policy.model_validate(tomllib.loads(text))
    assert read == policy.model_copy(update={"provenance": read.provenance})
    assert read.provenance["pictures"] == '1 of set \U0001f600\ufffd\ufffd\ufffdname = "evil"\ufffd, 1 sources'
    assert read.provenance["made_on"] == "2026-11-28"
    assert str(read.provenance["command"]).endswith("--policy signals.toml --calibrate --bpcer 0.05")
    assert str(read.provenance["apcer"]).startswith("mask: ")
    assert (read.provenance["bpcer_at_most"], read.provenance["method"]) == (0.05, "liveness evaluate --calibrate")
    assert proposal_headline(proposed)[0].startswith("set")
    assert [len(rows) for _, _, rows in proposal_tables(proposed)] == [3, len(NAMES)]
