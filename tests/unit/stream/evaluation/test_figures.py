"""Figures of a picture set small enough to be worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from stream.evaluation.analysing import AnalysedPresentation, Unreadable
from stream.evaluation.figures import document
from stream.evaluation.judged import judged, unreadable
from stream.evaluation.picture_set import LeftOutFile
from tests.unit.stream.evaluation.builders import analysed, presentation
from tests.unit.stream.evaluation.picture_reader import analysis

POLICY = Policy()  # LIVE from 0.62, SPOOF below 0.54
#: Five people (one without a face found), four prints of two sources (one non-response), two masks.
SET = [
    analysed("p1", 0.90, source="phone"),
    analysed("p2", 0.70, source="phone"),
    analysed("p3", 0.58, source="webcam"),
    analysed("p4", 0.40, source="webcam"),
    analysed("p5", ErrorCode.NO_FACE_DETECTED, source="webcam"),
    analysed("a1", 0.30, "print", "phone"),
    analysed("a2", 0.60, "print", "phone"),
    analysed("a3", 0.80, "print", "lab"),
    analysed("a4", ErrorCode.MULTIPLE_FACES, "print", "lab"),
    analysed("m1", 0.62, "mask", "lab"),
    analysed("m2", 0.20, "mask", "lab"),
]


@pytest.fixture
def figures() -> dict[str, Any]:
    return orjson.loads(orjson.dumps(document("set", judged(SET, POLICY), POLICY, [LeftOutFile("x", "no picture")])))


def test_summary(figures: dict[str, Any]) -> None:
    summary = figures["summary"]
    assert [summary[name] for name in ("pictures", "bona_fide", "attacks", "sources", "copies")] == [11, 5, 6, 3, 0]
    assert (summary["apcer_species"], summary["apcer"], summary["apcer_counts"]) == ("mask", 0.5, [1, 2])
    assert (summary["bpcer"], summary["bpcer_counts"]) == (0.5, [2, 4])
    assert summary["bpcer_interval"] == pytest.approx([0.0676, 0.9324], abs=5e-5)
    assert (summary["apnrr"], summary["bpnrr"], summary["bpnrr_counts"]) == (0.25, 0.2, [1, 5])
    spoof = summary["at_spoof_bound"]
    assert (spoof["threshold"], spoof["bpcer_counts"], spoof["apcer_counts"]) == (0.54, [1, 4], [2, 3])
    # pairs won: 0.90 and 0.70 of 5 attacks each: 5 and 4; 0.58 beats 0.30, 0.20; 0.40 beats 0.30, 0.20: 13 of 20
    assert summary["confidence_auc"] == 0.65


def test_fixed_bpcer(figures: dict[str, Any]) -> None:
    """Of four people none may be refused at 10 %, so that the threshold is the lowest confidence."""
    for point, most in zip(figures["summary"]["apcer_at_bpcer"], (0.01, 0.05, 0.1), strict=True):
        assert (point["bpcer_at_most"], point["threshold"], point["bpcer"]) == (most, 0.4, 0.0)
        assert (point["apcer_species"], point["apcer_counts"]) == ("print", [2, 3])
    assert [p["apcer_counts"] for p in figures["species"]["mask"]["apcer_at_bpcer"]] == [[1, 2]] * 3


def test_species(figures: dict[str, Any]) -> None:
    assert list(figures["species"]) == ["mask", "print"]
    prints = figures["species"]["print"]
    assert (prints["pictures"], prints["sources"]) == (4, 2)
    assert (prints["apcer_counts"], prints["apnrr_counts"]) == ([1, 3], [1, 4])
    # 0.30 loses to all four, 0.60 to 0.90 and 0.70, 0.80 to 0.90: 7 of 12
    assert prints["confidence_auc"] == pytest.approx(7 / 12, abs=1e-6)
    assert figures["verdicts"] == {
        "bona_fide": {"LIVE": 2, "SPOOF": 1, "INCONCLUSIVE": 1, "non_response": 1},
        "attack/mask": {"LIVE": 1, "SPOOF": 1, "INCONCLUSIVE": 0, "non_response": 0},
        "attack/print": {"LIVE": 1, "SPOOF": 1, "INCONCLUSIVE": 1, "non_response": 1},
    }
    assert figures["errors"] == {"MULTIPLE_FACES": 1, "NO_FACE_DETECTED": 1}


def test_sources(figures: dict[str, Any]) -> None:
    phone, lab = figures["sources"]["phone"], figures["sources"]["lab"]
    assert (phone["bpcer_counts"], phone["species"]["print"]["apcer_counts"]) == ([0, 2], [0, 2])
    assert (lab["bpcer"], lab["bpcer_interval"], lab["non_responses"]) == (None, None, 1)
    assert {name: rates["apcer_counts"] for name, rates in lab["species"].items()} == {"mask": [1, 2], "print": [1, 1]}


def test_pictures_and_worst(figures: dict[str, Any]) -> None:
    assert [each["path"] for each in figures["worst"]["attacks"]] == ["a3", "m1", "a2", "a1", "m2"]
    assert [each["path"] for each in figures["worst"]["bona_fide"]] == ["p4", "p3", "p2", "p1"]
    assert figures["left_out"] == [{"path": "x", "reason": "no picture"}]
    attack, no_face = figures["pictures"][7], figures["pictures"][4]
    signals = attack.pop("signals")
    assert attack == {
        "path": "a3",
        "label": "attack",
        "species": "print",
        "source": "lab",
        "error": None,
        "held": False,
        "verdict": "LIVE",
        "confidence": 0.8,
        "score": 90,
    }
    assert set(signals.values()) == {0.8}
    assert (no_face["verdict"], no_face["confidence"], no_face["error"]) == ("INCONCLUSIVE", None, "NO_FACE_DETECTED")
    assert set(no_face["signals"].values()) == {None}


def test_signals_count_what_they_scored() -> None:
    live, spoof = analysis(0.9, {"sharpness": None, "head_pose": 0.2}), analysis(0.1, {"head_pose": 0.8})
    analysed_so = [
        AnalysedPresentation(presentation("p"), live),
        AnalysedPresentation(presentation("a", "mask"), spoof),
    ]
    signals = document("set", judged(analysed_so, POLICY), POLICY)["signals"]
    assert {name: signals[name]["auc"] for name in ("lbp_texture", "head_pose", "sharpness")} == {
        "lbp_texture": 1.0,
        "head_pose": 0.0,
        "sharpness": None,
    }
    assert (signals["sharpness"]["scored"], signals["sharpness"]["not_scored"]) == (1, 1)
    assert signals["lbp_texture"]["auc_by_species"] == {"mask": 1.0}


@pytest.mark.parametrize("kept", ["p", "a", "p5", "none"])
def test_one_kind_alone(kept: str) -> None:
    """A set of one label, or of non-responses only, has no rates where there is nothing to count."""
    some = [each for each in SET if each.presentation.name.startswith(kept)]
    summary = document("set", judged(some, POLICY), POLICY)["summary"]
    assert (summary["bpcer"] is None) == (kept != "p")
    assert (summary["apcer"] is None) == (kept != "a")
    assert all((point["threshold"] is None) == (kept != "p") for point in summary["apcer_at_bpcer"])


def test_unreadable_is_no_presentation() -> None:
    found = [*SET, AnalysedPresentation(presentation("gone"), Unreadable("no such file"))]
    assert len(judged(found, POLICY)) == len(SET)
    assert unreadable(found) == [LeftOutFile("gone", "can't be read (no such file)")]


def test_copies_are_told() -> None:
    twice = [*judged(SET, POLICY), replace(judged(SET, POLICY)[0])]
    assert document("set", twice, POLICY)["summary"]["copies"] == 1
