"""Explanations of a verdict: counterfactuals that hold when applied, the range in words, causes before what they
explain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy import LEARNED, SIGNALS, load
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Analysis, Indication, Reading, ReadingStatus
from stream.pipeline.verdict.counterfactuals import Counterfactual, counterfactual
from stream.pipeline.verdict.interpretation import interpretation
from stream.pipeline.verdict.reasons import helpful, species_of
from stream.pipeline.verdict.verdict import VerdictKind, judge
from tests.unit.stream.builders import analysis, reading

POLICIES = {"signals": load(SIGNALS), "learned": load(LEARNED)}
NETWORKS = ("pad_minifasnet_v2", "pad_fr_liveness")
LIVENESS = st.floats(0, 1) | st.none()
ANALYSES = st.fixed_dictionaries(
    dict.fromkeys((*SIGNAL_LABELS, *NETWORKS), LIVENESS) | {"injection": st.sampled_from(["", "editor_software"])}
)


def found(values: dict) -> Analysis:
    code = values.get("injection", "")
    readings = tuple(reading(name, value) for name, value in values.items() if name != "injection")
    return analysis({}, readings=readings, indications=(Indication(code=code, detail="found"),) if code else ())


def applied(before: Analysis, nearest: Counterfactual) -> Analysis:
    """The analysis with the changes made, by nothing but their published names and numbers."""
    changes = {change.name: change.after for change in nearest.changes}
    after = [
        replace(each, status=ReadingStatus.SCORED, liveness=changes[name]) if name in changes else each
        for each in before.readings
        for name in ["pad_networks" if each.is_of_network and each.status is ReadingStatus.SCORED else each.name]
    ]
    return replace(before, readings=tuple(after), indications=() if "injection" in changes else before.indications)


@given(values=ANALYSES, policy=st.sampled_from(list(POLICIES.values())))
def test_counterfactuals_hold_when_applied(values, policy):
    before = found(values)
    verdict = judge(before, policy)
    nearest = counterfactual(verdict, policy)
    if verdict.error is not None:
        assert nearest is None
    elif nearest is not None:
        assert (nearest.verdict is VerdictKind.LIVE) is (verdict.kind is not VerdictKind.LIVE)
        assert judge(applied(before, nearest), policy).kind is nearest.verdict
        assert nearest.message.endswith(f"would have been {nearest.verdict}.")
    else:  # only networks that did not answer can't be changed
        assert "pad_networks_absent" in verdict.held


def changed(values: dict, policy: str = "signals") -> list[tuple[str, float]]:
    nearest = counterfactual(judge(found(values), POLICIES[policy]), POLICIES[policy])
    assert nearest is not None
    return [(change.name, change.after) for change in nearest.changes]


def test_the_nearest_change_is_told():
    fine = dict.fromkeys(SIGNAL_LABELS, 0.9)
    assert changed({**fine, "injection": "capture_software"}) == [("injection", 1.0)]
    flat = {**dict.fromkeys(SIGNAL_LABELS, 1.0), "lbp_texture": 0.0, "fft_deepfake": 0.0}
    assert changed(flat) == [("lbp_texture", 0.76)]
    shown = {**fine, **dict.fromkeys(NETWORKS, 0.9)}
    assert changed({**shown, "sharpness": 0.1}, "learned") == [("sharpness", 0.2)]
    assert changed({**shown, "sharpness": 0.1, "head_pose": 0.0}, "learned") == [("sharpness", 0.2), ("head_pose", 0.2)]


RANGES = [
    (0.9, "", "Strong LIVE"),
    (0.7, "", "Moderate LIVE"),
    (0.58, "", "Borderline: request a retake"),
    (0.45, "", "Weak"),
    (0.1, "", "Strong SPOOF: multiple signals failed"),
    (0.9, "capture_software", "Borderline: the picture may have been injected"),
    (0.9, "generator_settings", "Strong SPOOF: the file itself"),
    (0.1, "capture_software", "SPOOF: the face did not pass, and"),
]


@pytest.mark.parametrize(("value", "code", "words"), RANGES)
def test_ranges_in_words(value, code, words):
    verdict = judge(found({**dict.fromkeys(SIGNAL_LABELS, value), "injection": code}), POLICIES["signals"])
    assert interpretation(verdict).startswith(words)


def test_what_holds_a_verdict_is_in_the_words():
    values = {**dict.fromkeys((*SIGNAL_LABELS, *NETWORKS), 0.9), "sharpness": 0.1}
    assert "held back" in interpretation(judge(found(values), POLICIES["learned"]))


def _blurred(**changes: float) -> Analysis:
    weak = {"sharpness": "blurry", "lbp_texture": "flat_texture", "fft_deepfake": "periodic_spectrum"}
    values = {"sharpness": 0.3, "lbp_texture": 0.1, "fft_deepfake": 0.1, "exif_metadata": 0.5, **changes}
    readings = [
        Reading(
            name=name,
            label=name,
            status=ReadingStatus.SCORED,
            liveness=value,
            reason=weak[name] if value < 0.5 and name in weak else "",
            detail="measured",
        )
        for name, value in values.items()
    ]
    return analysis({}, readings=tuple(readings))


CAUSES = [
    (_blurred(), "blurry", ["hold_still"]),
    (_blurred(sharpness=0.9), "flat_texture", ["live_camera"]),
    (replace(_blurred(sharpness=0.9), notes=("uneven_light",)), "uneven_light", ["no_shadow"]),
    (replace(_blurred(sharpness=0.9), notes=("bystander",)), "flat_texture", ["live_camera", "alone"]),
]


@pytest.mark.parametrize(("finding", "first", "advice"), CAUSES)
def test_a_cause_goes_before_what_it_explains(finding, first, advice):
    verdict = judge(finding, POLICIES["signals"])
    named = [reason for reason in verdict.reasons if not reason.endswith("_low") and reason != "not_measured"]
    assert (named[0], [each.code for each in verdict.advice]) == (first, advice)
    assert {"flat_texture", "periodic_spectrum"} <= set(verdict.reasons)  # the signals' own reasons stay


def test_an_attack_is_named_for_what_is_explained():
    assert species_of(("blurry", "flat_texture")) == "flat_texture"
    assert (species_of(("blurry",)), species_of(())) == ("blurry", "")


def test_nothing_explains_an_injection():
    assert helpful(("capture_software", "blurry", "flat_texture")) == ("capture_software", "blurry")
