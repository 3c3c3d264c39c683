"""Rows of the published signal tables, a test each: what the row names scores inside its band."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.catalogues.detector_catalogue import DETECTORS, KNOWN, Need
from config.limits.signals import SignalParameters
from detectors import signals as signal_files
from detectors.contract import ReadingStatus
from detectors.exif import ExifFacts
from detectors.face_mesh import Face, Pose
from detectors.signals import FaceObservation, Signal, build
from detectors.signals.exif_metadata import SPOOF_KEYWORDS
from detectors.signals.eye_aspect_ratio import PERSONS_LEFT_EYE, PERSONS_RIGHT_EYE
from detectors.signals.fft_deepfake import Spectrum
from tests.unit.detectors.conftest import NOISE, face_of, observe

BELOW = 1e-9  # "0.50 - 0.79" ends just below 0.80


@pytest.fixture(scope="module")
def signals() -> dict[str, Signal]:
    return {signal.name: signal for signal in build(SignalParameters())}


def test_every_signal_is_catalogued(signals):
    files = {path.stem for path in Path(signal_files.__file__).parent.glob("[a-z]*.py")} - {"base", "crops"}
    assert list(signals) == list(DETECTORS)
    assert files == set(KNOWN)


@pytest.mark.parametrize("name", DETECTORS)
def test_signals_read_their_needs_only(signals, name):
    """A need outside the catalogue's is None, so that a look at it raises."""
    whole = observe()
    parts = {need: getattr(whole, need) if need in DETECTORS[name].needs else None for need in Need}
    assert signals[name].read(FaceObservation(**parts)) == signals[name].read(whole)
    for need in DETECTORS[name].needs:
        with pytest.raises(AttributeError):
            signals[name].read(FaceObservation(**{**parts, need: None}))


def noise(variance: float) -> np.ndarray:
    """A grey picture whose Laplacian has about this variance: that of noise is 20 times the noise's own."""
    grey = np.random.default_rng(3).normal(128, np.sqrt(variance / 20), (1000, 1000))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def with_eyes(right: float, left: float) -> Face:
    landmarks = np.zeros((478, 3), np.float32)
    for eye, ratio, start in ((PERSONS_RIGHT_EYE, right, 100.0), (PERSONS_LEFT_EYE, left, 300.0)):
        half = 50 * ratio  # lids at +-half over a width of 100
        points = [(0, 0), (30, -half), (70, -half), (100, 0), (70, half), (30, half)]
        landmarks[list(eye), :2] = np.array(points) + start
    return face_of(landmarks=landmarks)


#: Signal -> rows: what the table says, what is measured, and the band where the row names none.
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "sharpness": [  # variance of the Laplacian
        ("0.80 – 1.00 Sharp, well-focused image (lower edge)", 125),
        ("0.50 – 0.79 Moderate sharpness (upper edge)", 110),
        ("0.50 – 0.79 Moderate sharpness (min_blur_variance)", 43),
        ("0.00 – 0.49 Soft or blurry (upper edge)", 36),
        ("0.00 – 0.49 Soft or blurry", 6, 0.00, 0.20),
    ],
    "eye_aspect_ratio": [
        ("0.80 – 1.00 Eyes naturally open (0.25)", 0.2501),
        ("0.50 – 0.79 Partially open (upper edge)", 0.249),
        ("0.50 – 0.79 Partially open (min_ear)", 0.1501),
        ("0.00 – 0.49 Eyes closed or EAR below minimum (edge)", 0.1499),
        ("0.00 – 0.49 Eyes closed", 0.02, 0.00, 0.10),
    ],
    "head_pose": [  # yaw, pitch, roll
        ("0.85 – 1.00 Near-frontal", (0, 0, 0), 1.0, 1.0),
        ("max_yaw_deg: where decay begins", (-35, 0, 0), 1.0, 1.0),
        ("max_pitch_deg: where decay begins", (0, 30, 0), 1.0, 1.0),
        ("under 30 degrees in any axis", (0, 0, -30), 1.0, 1.0),
        ("beyond max_yaw_deg", (35.1, 0, 0), 0.95, 1.0 - BELOW),
        ("beyond max_pitch_deg", (0, -30.1, 0), 0.95, 1.0 - BELOW),
        ("beyond 30 degrees of roll", (0, 0, 30.1), 0.95, 1.0 - BELOW),
        ("0.50 – 0.84 Slight rotation", (40, 0, 0)),
        ("0.50 – 0.84 Slight rotation", (0, -39, 0)),
        ("0.00 – 0.49 Significant rotation", (-47, 0, 0)),
        ("0.00 – 0.49 Significant rotation", (0, 41, 0)),
        ("0.00 – 0.49 Significant rotation", (0, 0, 41)),
    ],
    "face_area_ratio": [  # share of the image
        ("Face < 4% of image area: penalised (edge)", 0.0399, 0.0, 0.5 - BELOW),
        ("Face < 4% of image area: penalised, and falling", 0.01, 0.0, 0.2),
        ("Face 4% – 80% scored (lower edge)", 0.0401, 0.5, 0.6),
        ("Face 4% – 80% scored (optimal at 20%)", 0.20, 1.0 - 1e-6, 1.0),
        ("Face 4% – 80% scored (good to 40%)", 0.40, 0.8, 1.0 - BELOW),
        ("Face 4% – 80% scored (upper edge)", 0.80, 0.5 - 1e-6, 0.51),
        ("Face > 80% of image area: fixed 0.50 (edge)", 0.801, 0.5, 0.5),
    ],
    "facial_symmetry": [  # asymmetry index
        ("0.80 – 1.00 Highly symmetric (photographs reach 0.07)", 0.07),
        ("0.50 – 0.79 Mild asymmetry (upper edge)", 0.081),
        ("0.50 – 0.79 Mild asymmetry (lower edge)", 0.1399),
        ("0.00 – 0.49 Notable asymmetry", 0.141),
        ("above max_asymmetry: 0", 0.20, 0.0, 0.0),
    ],
    "lbp_texture": [  # entropy in bits, share of the dominant bin
        ("0.55 – 0.79 Broadly consistent (upper edge)", (5.03, 0.17)),
        ("0.55 – 0.79 Broadly consistent (lower edge)", (4.61, 0.17)),
        ("0.35 – 0.54 Partial texture uniformity (upper edge)", (4.59, 0.17)),
        ("0.35 – 0.54 Partial texture uniformity (lower edge)", (4.05, 0.17)),
        ("0.00 – 0.34 Highly uniform or periodic texture", (3.99, 0.17)),
        ("real skin stays below 0.60", (5.3, 0.29), 0.80, 1.00),
        ("lbp_dominant_bin_spoof_threshold: suspiciously uniform", (5.3, 0.601), 0.00, 0.40),
        ("spoofs typically exceed 0.65", (5.3, 0.65), 0.00, 0.34),
    ],
    "fft_deepfake": [  # ring kurtosis, high-frequency ratio, azimuthal variance
        ("0.80 – 1.00 (photographs reach these)", (4.3, 0.52, 0.30)),
        ("0.60 – 0.79 Broadly natural", (4.9, 0.65, 0.15)),
        ("0.40 – 0.59 Moderate frequency anomalies", (5.8, 0.65, 0.15)),
        ("0.00 – 0.39 Strong periodic artefacts and directional bias", (8.0, 0.6, 0.5)),
        ("GAN images often exceed 6", (7.0, 0.65, 0.15), 0.0, 0.50),
        ("fft_kurtosis_max: ceiling", (12.0, 0.65, 0.40), 0.0, 0.25),
        ("fft_az_variance_max: directional bias", (3.0, 0.65, 0.351), 0.0, 0.5 - BELOW),
        ("fft_az_variance_max: just below", (3.0, 0.65, 0.345), 0.5, 0.6),
    ],
}


def band(words: str) -> tuple[float, float]:
    """The lowest and highest score of a row that begins `0.50 – 0.79`: the latter ends just below 0.80."""
    low, high = (float(number) for number in words[:11].split(" – "))
    return low, high if high == 1.0 else high + 0.01 - BELOW


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_rows_of_the_tables(signals, name, row):
    words, given, *limits = row
    signal = signals[name]
    scores: dict[str, Callable[[], float]] = {
        "sharpness": lambda: signal.read(observe(grey=noise(given))).liveness,
        "eye_aspect_ratio": lambda: signal.read(observe(face=with_eyes(given, given))).liveness,
        "head_pose": lambda: signal.read(observe(pose=Pose(*given))).liveness,
        "face_area_ratio": lambda: signal.read(observe(face=face_of(given))).liveness,
        "facial_symmetry": lambda: signal._score(given),
        "lbp_texture": lambda: signal.liveness(entropy_bits=given[0], dominant=given[1]),
        "fft_deepfake": lambda: signal.liveness(Spectrum(*given)),
    }
    low, high = limits or band(words)
    assert low <= scores[name]() <= high


def test_both_eyes_and_the_least_sharpness_count(signals):
    detail = signals["eye_aspect_ratio"].read(observe(face=with_eyes(0.2, 0.3))).detail
    assert detail.endswith("(eye aspect ratio: right 0.20, left 0.30).")
    assert signals["sharpness"]._score(40.0) == 0.5


CAMERA = {"present": True, "make": "Example", "model": "Phone"}
OPTICAL = ("f-stop", "ISO", "shutter speed", "focal length", "GPS")


@pytest.mark.parametrize(
    ("row", "facts", "score"),
    [
        ("No EXIF found: 0.50 (neutral)", {}, 0.50),
        ("EXIF present, no camera hardware tags: 0.55", {"present": True}, 0.55),
        ("EXIF present, optical tags but no camera: 0.55", {"present": True, "optical": OPTICAL}, 0.55),
        ("Camera make / model confirmed: 0.75", CAMERA, 0.75),
        ("Camera make alone: 0.75", {"present": True, "make": "Example"}, 0.75),
        *(
            (f"Camera + {n} of 5 optical tags", {**CAMERA, "optical": OPTICAL[:n]}, 0.75 + 0.05 * n)
            for n in range(1, 6)
        ),
        ("Camera with harmless software", {**CAMERA, "software": ("HDR+ 1.0.5",)}, 0.75),
        *(
            (f"Software detected: {word}", {**CAMERA, "software": (f"X {word.title()} 2",)}, 0.10)
            for word in SPOOF_KEYWORDS
        ),
        ("Phones mark screenshots in the comment", {"present": True, "comment": "Screenshot"}, 0.10),
        ("A comment that only mentions one is none", {**CAMERA, "comment": "not a screenshot"}, 0.75),
    ],
)
def test_exif_metadata(signals, row, facts, score):
    reading = signals["exif_metadata"].read(observe(exif=ExifFacts(**facts)))  # type: ignore[arg-type]
    assert reading.liveness == pytest.approx(score), row
    assert (reading.reason == "spoof_software") == (score == 0.10)


SPOOFS = ["OBS", "obs64", "OBS-Studio 30", "Screen_Capture", "GIMP 2.10.36", "Adobe Photoshop 25.0 (Windows)"]
SPOOFS += ["AdobePhotoshopExpress", "Screenshots", "SnagitEditor", "OBSStudio", "ScreenCaptureKit", "gimpPortable"]
HARMLESS = [
    "Observer",
    "JOBS",
    "iPhone OS 17.1",
    "G991BXXU5CVLL",
    "HDR+ 1.0",
    "PreviewerPro",
    "Obsidian",
    "Jobs",
    "Steve Jobs Camera",
    "previewer",
    "Gimple",
    "",
]


@pytest.mark.parametrize("software", [*SPOOFS, *HARMLESS])
def test_exif_keywords_match_names(signals, software):
    reading = signals["exif_metadata"].read(observe(exif=ExifFacts(present=True, software=(software,))))
    assert (reading.liveness == 0.10) == (software in SPOOFS)
    assert not software or software not in reading.detail


def test_readings_are_scored_with_words(signals):
    for signal in signals.values():
        reading = signal.read(observe())
        assert reading.status is ReadingStatus.SCORED
        assert re.fullmatch(r"(The|An?|Both|Some|Fine|Frequencies|Detail|No) [a-z ,']+ \([^()]+\)\.", reading.detail)
        assert (reading.reason == "") == (reading.liveness >= 0.5)


@pytest.mark.parametrize(
    ("spectrum", "words"),
    [
        (Spectrum(3.0, 0.65, 0.05), "The frequencies are those of a camera's picture"),
        (Spectrum(9.0, 0.65, 0.05), "Frequencies stand out as of a regular grid"),
        (Spectrum(3.0, 0.05, 0.05), "Fine detail is far more or less than a camera's"),
        (Spectrum(3.0, 0.65, 0.9), "Detail runs mostly in one direction"),
    ],
)
def test_words_are_about_what_moved_the_score(signals, monkeypatch, spectrum, words):
    signal = signals["fft_deepfake"]
    monkeypatch.setattr(signal._meter, "measure", lambda crop: spectrum)
    assert signal.read(observe()).detail.startswith(f"{words} (ring kurtosis")


@pytest.mark.parametrize(
    ("yaw", "rows", "natural"),
    [
        (0, slice(493, 497), False),  # an edge across the middle of a face that looks ahead
        (25, slice(493, 497), True),  # of a turned one: the rim of glasses
        (-25, slice(493, 497), True),
        (25, slice(0, 1000, 4), False),  # all over a turned face: a grid
    ],
)
def test_an_edge_on_a_turned_face_is_no_fingerprint(signals, yaw, rows, natural):
    grey = NOISE // 8 + 100
    grey[rows] = 20
    reading = signals["fft_deepfake"].read(observe(grey=grey, pose=Pose(yaw, 0, 0)))
    assert ("azimuthal variance 0.0" in reading.detail) == natural, reading.detail


@pytest.mark.parametrize("tone", [0, 255])
def test_a_lower_face_without_detail_excuses_nothing(signals, tone):
    grey = NOISE // 8 + 100
    grey[::4] = 20
    grey[570:710] = tone  # below the middle crop of a face 707 pixels high
    reading = signals["fft_deepfake"].read(observe(grey=grey, face=face_of(0.5), pose=Pose(25, 0, 0)))
    assert "azimuthal variance 0.0" not in reading.detail


@pytest.mark.parametrize(
    ("right", "left", "words"),
    [(0.3, 0.3, "Both eyes are open"), (0.3, 0.24, "The eyes are not wide open"), (0.3, 0.05, "An eye is closed")],
)
def test_words_follow_the_score(signals, right, left, words):
    assert signals["eye_aspect_ratio"].read(observe(face=with_eyes(right, left))).detail.startswith(words)
