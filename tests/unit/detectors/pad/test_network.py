"""Readings of presentation-attack networks: what is fed, what is answered, and what a broken network costs."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.contract import ANALYSIS_STEPS, ReadingStatus
from detectors.face_mesh import Box
from detectors.frame import WorkingFrame
from detectors.pad import PadNetworkUnusable, open_networks
from detectors.pad.crops import resized, shifted, square
from tests.unit.detectors.conftest import observe

BLUE, GREEN, RED = 51, 204, 102


def blue_green_red() -> np.ndarray:
    return np.full((64, 48, 3), (BLUE, GREEN, RED), np.uint8)


def seen(bgr):
    """Observation of a face in the middle of a frame."""
    frame = WorkingFrame(bgr=bgr, grey=bgr[:, :, 0])
    found = observe()
    return replace(found, frame=frame, face=replace(found.face, box=Box(12, 16, 36, 48)))


@pytest.mark.parametrize(
    ("changes", "live", "others"),
    [
        ({}, GREEN, (BLUE, RED)),
        ({"live_index": 0}, BLUE, (GREEN, RED)),
        ({"live_index": 0, "colour": "rgb"}, RED, (BLUE, GREEN)),
        ({"live_index": 2, "mean": (0, 0, 51)}, RED - 51, (BLUE, GREEN)),
    ],
)
def test_logits_of_each_channel(source, changes, live, others):
    """The probability of the live class by softmax, of what the channels hold."""
    (detector,) = open_networks([source(**changes)])
    reading = detector.read(seen(blue_green_red()))
    exponents = [math.exp(each / 255) for each in (live, *others)]
    assert reading.liveness == pytest.approx(exponents[0] / sum(exponents), abs=1e-5)
    assert (reading.name, reading.status) == ("pad_means", ReadingStatus.SCORED)
    assert reading.reason == ("" if reading.liveness >= 0.5 else "attack_suspected")


def test_probabilities(source):
    (detector,) = open_networks([source(output_kind="probabilities")])
    assert detector.read(seen(blue_green_red())).liveness == pytest.approx(GREEN / (BLUE + GREEN + RED), abs=1e-5)


def test_certainty_is_bounded(source):
    """Log-odds of a thousand say no more than log-odds of eight."""
    (detector,) = open_networks([source(scale=1000.0)])
    assert detector.read(seen(blue_green_red())).liveness == pytest.approx(1 / (1 + math.exp(-8)))


def test_crop_inside_frame():
    """Rows and columns are numbered, so that the crop tells where it lies."""
    frame = np.zeros((100, 80, 3), np.uint8)
    frame[:, :, 0], frame[:, :, 1] = np.arange(100)[:, None], np.arange(80)
    for box, rows, columns in (
        (Box(30, 40, 50, 60), (30, 70), (20, 60)),
        (Box(0, 0, 20, 20), (0, 40), (0, 40)),
        (Box(60, 80, 80, 100), (59, 99), (39, 79)),
        (Box(-40, -40, 120, 140), (5, 94), (0, 79)),
    ):
        crop = shifted(frame, box, 2.0)
        assert (crop[0, 0, 0], crop[-1, -1, 0]) == rows, box
        assert (crop[0, 0, 1], crop[-1, -1, 1]) == columns, box
    crop = square(frame, Box(0, 0, 20, 10), 2.0)
    assert crop.shape == (40, 40, 3)
    assert crop[:, 10, 1].max() == 0, "column 0 lies ten pixels inside"
    assert crop[20, 0, 1] == 10, "reflected at the border"


@pytest.mark.parametrize("cut", [shifted, square])
@pytest.mark.parametrize(
    "box", [Box(-9e5, -9e5, 9e5, 9e5), Box(300, 300, 320, 320), Box(-50, 10, -20, 30), Box(10, 10, 10.5, 10.2)]
)
def test_odd_boxes_stay_bounded(cut, box):
    """A face outside or far larger than the frame costs a refusal or a crop, never memory."""
    with suppress(ValueError):  # what the analysis turns into a failed reading
        crop = cut(blue_green_red(), box, 4.0)
        assert 0 < crop.size <= 3 * (4 * 64) ** 2
        assert resized(crop, 16, "bilinear").shape == (16, 16, 3)


def test_broken_network_costs_itself_alone(source, selfie, monkeypatch):
    analyser = FaceAnalyser(Policy(), networks=(source(),))
    monkeypatch.setattr(analyser.networks[0], "read", lambda _seen: 1 / 0)
    analysis = analyser.analyse(selfie)
    analyser.close()
    assert analysis.error is None
    broken = analysis.readings[-1]
    assert (broken.name, broken.status, broken.liveness) == ("pad_means", ReadingStatus.FAILED, 0)
    assert all(reading.status is ReadingStatus.SCORED for reading in analysis.readings[:-1])


def test_networks_of_an_analysis(source, selfie):
    analyser = FaceAnalyser(Policy(), networks=(source(),))
    analysis = analyser.analyse(selfie)
    analyser.close()
    assert analysis.readings[-1].status is ReadingStatus.SCORED
    assert ("means", "1") in [(model.name, model.version) for model in analysis.models]
    assert (*analysis.elapsed_ms, "measures") == ANALYSIS_STEPS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"live_index": 3}, "live class"),
        ({"side": 15}, "fed as the manifest says"),
        ({"onnx": b"not a network"}, "does not load"),
        ({"output": "elsewhere"}, "output"),
        ({"sha256": "ab" * 32}, "SHA-256"),
    ],
)
def test_unfit_networks_are_refused_at_start(source, changes, words):
    with pytest.raises(ValueError, match=words):
        open_networks([source(**changes)])


def test_missing_file_names_command(source):
    found = source(home="https://example.org/means.onnx")
    found.file.unlink()
    with pytest.raises(PadNetworkUnusable, match="is not there; run: liveness models fetch"):
        open_networks([found])
