"""Margins of a calibration: bounds that further sources may be expected to pass, gates and floors included."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from config.policy import Policy
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.calibration import calibrate
from stream.evaluation.margins import cautious_bound
from tests.unit.stream.builders import analysis
from tests.unit.stream.evaluation.builders import presentation

HELD = -math.inf


@pytest.mark.parametrize(
    ("by_source", "most", "bound"),
    [
        ({"a": [0.5, 0.6]}, 0.0, 0.5),  # of one source nothing is known about others
        ({"a": [0.5, 0.6], "b": [0.5, 0.7]}, 0.0, 0.5),  # sources agree
        ({"a": [0.3], "b": [0.7]}, 0.0, 0.3 - 0.2),  # 0.7 without a, 0.3 without b
        # 0.4 twice and 0.6 once: mean 1.4/3, squares 0.08/3, times 2/3
        ({"a": [0.4], "b": [0.6], "c": [0.8]}, 0.0, 0.4 - math.sqrt(0.08 / 3 * 2 / 3)),
        ({"a": [0.1, 0.5, 0.5, 0.5], "b": [0.5, 0.5, 0.5, 0.5]}, 0.25, 0.5),  # one of four may be below
        ({"a": [HELD, 0.5], "b": [0.5]}, 0.0, 0.5),  # more held than allowed: the bound is for the others
        ({"a": [HELD], "b": [HELD]}, 0.0, 9.0),
        ({"a": [math.inf], "b": [math.inf]}, 0.0, 9.0),
        ({}, 0.0, 9.0),
    ],
)
def test_bound_is_cautious(by_source: dict[str, list[float]], most: float, bound: float) -> None:
    assert cautious_bound(most, by_source, 9.0) == pytest.approx(bound)


#: Texture 0.4, networks 0.6, and both held below a gate and a floor.
POLICY = Policy.model_validate(
    {
        "name": "new-uncalibrated",
        "weights": {**dict.fromkeys(Policy().weights.model_dump(), 0.0), "lbp_texture": 0.4},
        "pad_networks": {"weight": 0.6, "floor": -5.0},
        "gates": {"lbp_texture": 0.5, "sharpness": 0.3},
    }
)


def seen(name: str, odds: float, texture: float, species: str = "", sharpness: float = 0.9) -> AnalysedPresentation:
    """Presentation whose source is the first letter of its name."""
    signals = {**dict.fromkeys(POLICY.weights.model_dump(), 0.9), "lbp_texture": texture, "sharpness": sharpness}
    found = analysis({**signals, "pad_a": 1 / (1 + math.exp(-odds))})
    return AnalysedPresentation(presentation(name, species, name[0]), found, f"hash of {name}")


PRINTS = [seen("u1", -6, 0.2, "print"), seen("v1", -6, 0.2, "print")]


def test_gates_and_floors_of_the_pictures() -> None:
    """A gate goes down to the least texture less a margin, the floor up to even odds and no further; a blurred picture
    is held by the gate of quality, which stays and costs the threshold nothing."""
    people = [seen("x1", 3, 0.4), seen("x2", 3, 0.9, sharpness=0.1), seen("y1", 4, 0.3), seen("y2", 4, 0.9)]
    found = calibrate([*people, *PRINTS], POLICY, 0.0)
    assert found.policy.name == "new"
    assert found.policy.gates == {"lbp_texture": pytest.approx(0.25, abs=1e-4), "sharpness": 0.3}
    assert found.policy.pad_networks.floor == 0.0
    assert not found.bounded


def test_floors_go_below_even_odds_only() -> None:
    people = [seen("x1", 3, 0.9), seen("y1", -1, 0.9)]
    assert calibrate([*people, *PRINTS], POLICY, 0.0).policy.pad_networks.floor == pytest.approx(-1.0, abs=2e-4)


def test_copies_join_sources() -> None:
    """A picture that two sources have is left out with both; `w` shares nothing."""
    people = [seen("x1", 3, 0.9), seen("y1", 3, 0.9), seen("z1", 3, 0.9), seen("w1", 3, 0.9)]
    copies = [replace(seen("y2", 3, 0.9), sha256="hash of x1"), replace(seen("z2", 3, 0.9), sha256="hash of y1")]
    found = calibrate([*people, *copies, *PRINTS], POLICY, 0.0)
    assert {source for fold in found.folds for source in fold} == {"x+y+z", "w", "u", "v"}
