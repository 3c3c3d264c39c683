"""Properties of the score maps and of the measurements behind them."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from config.limits.signals import SignalParameters
from detectors.face_mesh import Box
from detectors.signals import build
from detectors.signals.base import Curve, Signal
from detectors.signals.crops import centre_crop
from detectors.signals.facial_symmetry import MIDLINE, PAIRS, symmetry_index
from detectors.signals.fft_deepfake import FftDeepfake, Spectrum, SpectrumMeter
from detectors.signals.head_pose import rotation_curve
from detectors.signals.lbp_texture import BINS, LbpTexture, entropy_bits, lbp_histogram
from detectors.signals.sharpness import laplacian_variance
from tests.unit.detectors.conftest import grey_frame, rotation

PARAMETERS = SignalParameters()
MEASUREMENT = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def signal(name: str) -> Signal:
    return next(made for made in build(PARAMETERS) if made.name == name)


RISING = {
    "sharpness": signal("sharpness")._score,  # type: ignore[attr-defined]
    "eye_aspect_ratio": signal("eye_aspect_ratio")._openness,  # type: ignore[attr-defined]
    "lbp entropy": lambda x: LbpTexture(PARAMETERS).liveness(entropy_bits=x, dominant=0.1),
}
FALLING = {
    "head_pose": rotation_curve(35.0),
    "facial_symmetry": signal("facial_symmetry")._score,  # type: ignore[attr-defined]
    "lbp dominant bin": lambda x: LbpTexture(PARAMETERS).liveness(entropy_bits=5.3, dominant=x),
    "fft kurtosis": lambda x: FftDeepfake(PARAMETERS).liveness(Spectrum(x, 0.65, 0.1)),
    "fft azimuthal": lambda x: FftDeepfake(PARAMETERS).liveness(Spectrum(3.0, 0.65, x)),
    "fft distance from the baseline": lambda x: FftDeepfake(PARAMETERS).liveness(Spectrum(3.0, 0.65 + x, 0.1)),
}


@pytest.mark.parametrize("name", [*RISING, *FALLING])
@given(a=MEASUREMENT, b=MEASUREMENT)
def test_maps_are_monotone_shares(name, a, b):
    score = RISING.get(name) or FALLING[name]
    low, high = score(min(a, b)), score(max(a, b))
    assert 0.0 <= low <= 1.0
    assert 0.0 <= high <= 1.0
    assert low <= high if name in RISING else low >= high


RANGES = {
    "min_blur_variance": (0.1, 1e4),
    "min_ear": (0.01, 0.9),
    "max_yaw_deg": (1, 90),
    "min_face_area_ratio": (0.001, 0.99),
    "fft_kurtosis_max": (3.1, 100),
    **dict.fromkeys(("lbp_dominant_bin_spoof_threshold", "fft_az_variance_max", "max_asymmetry"), (0.01, 0.99)),
}


@settings(max_examples=25)
@given(st.fixed_dictionaries({name: st.floats(*limits) for name, limits in RANGES.items()}))
def test_any_legal_parameters_build_signals(chosen):
    try:
        parameters = SignalParameters(**chosen)
    except ValidationError:
        return
    assert len(build(parameters)) == 8


@pytest.mark.parametrize("points", [((0, 0), (0, 1)), ((1, 0), (0, 1)), ((0, 0), (1, 1.5)), ((0, math.nan), (1, 1))])
def test_curves_refuse_other_points(points):
    with pytest.raises(ValueError, match="curve"):
        Curve(*points)


# --- measurements ----------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(11)
NOISE = RANDOM.integers(0, 256, (128, 128), np.uint8)
FLAT = np.full((128, 128), 90, np.uint8)


def test_blur_lowers_the_laplacian_variance():
    soft = np.asarray(cv2.GaussianBlur(NOISE, (0, 0), 2), np.uint8)
    assert laplacian_variance(NOISE) > laplacian_variance(soft) > laplacian_variance(FLAT) == 0


def test_lbp_has_58_uniform_patterns():
    histogram = lbp_histogram(NOISE)
    assert histogram.shape == (BINS,)
    assert histogram.sum() == pytest.approx(1)
    assert (histogram[:58] > 0).all()
    assert (lbp_histogram(FLAT).max(), entropy_bits(lbp_histogram(FLAT))) == (1, 0)


def test_lbp_agrees_with_its_definition():
    crop = NOISE[:8, :8]
    offsets = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    others = 0
    for row, column in itertools.product(range(1, 7), repeat=2):
        bits = [int(crop[row + r, column + c] >= crop[row, column]) for r, c in offsets]
        others += sum(bits[i] != bits[i - 1] for i in range(8)) > 2
    assert lbp_histogram(crop)[BINS - 1] == pytest.approx(others / 36)


def test_pixel_grids_raise_kurtosis():
    grid = NOISE // 2
    grid[:, ::3] += 60
    spectrum, natural = SpectrumMeter(128).measure(grid), SpectrumMeter(128).measure(NOISE)
    assert natural.ring_kurtosis == pytest.approx(3.1, abs=0.3)
    assert natural.azimuthal_variance < 0.1
    assert spectrum.ring_kurtosis > natural.ring_kurtosis
    assert spectrum.azimuthal_variance > natural.azimuthal_variance
    assert FftDeepfake(PARAMETERS).liveness(spectrum) < FftDeepfake(PARAMETERS).liveness(natural)
    assert SpectrumMeter(128).measure(FLAT) == Spectrum(3.0, 0.0, 0.0)


@given(
    size=st.tuples(st.integers(4, 300), st.integers(4, 300)),
    centre=st.tuples(st.integers(-50, 350), st.integers(-50, 350)),
)
def test_crops_always_have_their_size(size, centre):
    box = Box(centre[0] - 5, centre[1] - 5, centre[0] + 5, centre[1] + 5)
    assert centre_crop(grey_frame(np.zeros(size, np.uint8)), box, 96).shape == (96, 96)


def symmetric_face() -> np.ndarray:
    landmarks = np.zeros((478, 3))
    landmarks[MIDLINE, 1] = np.linspace(-60, 60, len(MIDLINE))
    for index, (right, left) in enumerate(PAIRS):
        height, half = 50 - 10 * index, 20 + 5 * index
        landmarks[right] = (-half, height, half / 2)
        landmarks[left] = (half, height, half / 2)
    return landmarks


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, 0, 0), (-20, 15, 0), (10, -10, 20)])
def test_turned_faces_stay_symmetric(angles):
    transform, shifted = rotation(*angles), np.zeros((478, 3))
    shifted[PAIRS[:, 1], 1] = 12
    for face, low, high in ((symmetric_face(), 0, 1e-4), (symmetric_face() + shifted, 0.1, 1)):
        metric = face * (1, -1, -1)  # pixels to metric axes
        turned = (metric @ transform[:3, :3].T) * (1, -1, -1) + (300, 400, 0)
        assert low <= symmetry_index(turned.astype(np.float32), transform * 1.7) < high
