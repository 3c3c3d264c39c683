"""One test a row of the published signal tables: what the row names scores inside its band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from config.policy import SignalParameters
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import ReadingStatus
from detectors.exif import ExifFacts
from detectors.face_mesh import Face, Pose
from detectors.signals import SIGNALS, Observation, Signal, build
from detectors.signals.exif_metadata import SPOOF_KEYWORDS
from detectors.signals.eye_aspect_ratio import PERSONS_LEFT_EYE, PERSONS_RIGHT_EYE
from detectors.signals.fft_deepfake import FftDeepfake, Spectrum
from detectors.signals.lbp_texture import LbpTexture

Observe = Callable[..., Observation]
BELOW = 1e-9  # "0.50 - 0.79" ends just below 0.80


@pytest.fixture(scope="module")
def signals() -> dict[str, Signal]:
    return {signal.name: signal for signal in build(SignalParameters())}


def test_the_registry_is_the_catalogue_in_order(signals: dict[str, Signal]) -> None:
    assert [signal.name for signal in SIGNALS] == list(SIGNAL_LABELS)
    assert {name: signal.label for name, signal in signals.items()} == SIGNAL_LABELS


# --- sharpness -------------------------------------------------------------------------------------------


def stripes(variance: float) -> np.ndarray:
    """A grey picture whose Laplacian has about this variance: every second pixel raised, 4 rows apart."""
    noise = np.random.default_rng(3).normal(128, np.sqrt(variance / 20), (1000, 1000))  # Laplacian of noise: x20
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("row", "variance", "low", "high"),
    [
        ("0.80 – 1.00 Sharp, well-focused image", 400, 0.80, 1.00),
        ("0.80 – 1.00 Sharp, well-focused image (lower edge)", 125, 0.80, 1.00),
        ("0.50 – 0.79 Moderate sharpness (upper edge)", 110, 0.50, 0.80 - BELOW),
        ("0.50 – 0.79 Moderate sharpness (lower edge)", 43, 0.50, 0.80 - BELOW),
        ("0.00 – 0.49 Soft or blurry (upper edge)", 36, 0.00, 0.50 - BELOW),
        ("0.00 – 0.49 Soft or blurry", 6, 0.00, 0.20),
    ],
)
def test_sharpness(
    signals: dict[str, Signal], observe: Observe, row: str, variance: float, low: float, high: float
) -> None:
    assert low <= signals["sharpness"].read(observe(grey=stripes(variance))).liveness <= high, row


def test_sharpness_at_min_blur_variance_is_the_pass_mark(signals: dict[str, Signal]) -> None:
    assert signals["sharpness"]._score(40.0) == 0.5  # type: ignore[attr-defined]


# --- eye_aspect_ratio ------------------------------------------------------------------------------------


def with_eyes(face_of: Callable[..., Face], right: float, left: float) -> Face:
    landmarks = np.zeros((478, 3), np.float32)
    for eye, ratio, start in ((PERSONS_RIGHT_EYE, right, 100.0), (PERSONS_LEFT_EYE, left, 300.0)):
        half = 50 * ratio  # lids at +-half over a width of 100
        points = [(0, 0), (30, -half), (70, -half), (100, 0), (70, half), (30, half)]
        landmarks[list(eye), :2] = np.array(points) + start
    return face_of(landmarks=landmarks)


@pytest.mark.parametrize(
    ("row", "ratio", "low", "high"),
    [
        ("0.80 – 1.00 Eyes naturally open (0.25)", 0.2501, 0.80, 1.00),
        ("0.80 – 1.00 Eyes naturally open (0.35)", 0.35, 0.80, 1.00),
        ("0.50 – 0.79 Partially open (upper edge)", 0.249, 0.50, 0.80 - BELOW),
        ("0.50 – 0.79 Partially open (min_ear)", 0.1501, 0.50, 0.80 - BELOW),
        ("0.00 – 0.49 Eyes closed or EAR below minimum (edge)", 0.1499, 0.00, 0.50 - BELOW),
        ("0.00 – 0.49 Eyes closed", 0.02, 0.00, 0.10),
    ],
)
def test_eye_aspect_ratio(
    signals: dict[str, Signal],
    observe: Observe,
    face_of: Callable[..., Face],
    row: str,
    ratio: float,
    low: float,
    high: float,
) -> None:
    seen = observe(face=with_eyes(face_of, ratio, ratio))
    assert low <= signals["eye_aspect_ratio"].read(seen).liveness <= high, row


def test_both_eyes_count(signals: dict[str, Signal], observe: Observe, face_of: Callable[..., Face]) -> None:
    detail = signals["eye_aspect_ratio"].read(observe(face=with_eyes(face_of, 0.2, 0.3))).detail
    assert detail == "eye aspect ratio 0.25 (right 0.20, left 0.30)"


# --- head_pose -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "pose", "low", "high"),
    [
        ("0.85 – 1.00 Near-frontal", Pose(0, 0, 0), 1.0, 1.0),
        ("0.85 – 1.00 Near-frontal (edge)", Pose(11.6, -9.9, 9.9), 0.85, 1.00),
        ("0.50 – 0.84 Slight rotation", Pose(13, 0, 0), 0.50, 0.85 - BELOW),
        ("0.50 – 0.84 Slight rotation (max_yaw_deg)", Pose(-35, 0, 0), 0.50, 0.85 - BELOW),
        ("0.50 – 0.84 Slight rotation (max_pitch_deg)", Pose(0, 30, 0), 0.50, 0.85 - BELOW),
        ("0.00 – 0.49 Significant rotation (beyond max_yaw_deg)", Pose(35.1, 0, 0), 0.00, 0.50 - BELOW),
        ("0.00 – 0.49 Significant rotation (beyond max_pitch_deg)", Pose(0, -30.1, 0), 0.00, 0.50 - BELOW),
        ("0.00 – 0.49 Significant rotation (roll)", Pose(0, 0, 31), 0.00, 0.50 - BELOW),
        ("0.00 – 0.49 Significant rotation", Pose(80, 0, 0), 0.00, 0.0),
    ],
)
def test_head_pose(signals: dict[str, Signal], observe: Observe, row: str, pose: Pose, low: float, high: float) -> None:
    assert low <= signals["head_pose"].read(observe(pose=pose)).liveness <= high, row


# --- face_area_ratio -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "share", "low", "high"),
    [
        ("Face < 4% of image area: penalised (edge)", 0.0399, 0.0, 0.5 - BELOW),
        ("Face < 4% of image area: penalised, and falling", 0.01, 0.0, 0.2),
        ("Face 4% – 80% scored (lower edge)", 0.0401, 0.5, 0.6),
        ("Face 4% – 80% scored (good from 10%)", 0.10, 0.8, 1.0 - BELOW),
        ("Face 4% – 80% scored (optimal at 20%)", 0.20, 1.0 - 1e-6, 1.0),
        ("Face 4% – 80% scored (good to 40%)", 0.40, 0.8, 1.0 - BELOW),
        ("Face 4% – 80% scored (upper edge)", 0.80, 0.5 - 1e-6, 0.51),
        ("Face > 80% of image area: fixed 0.50 (edge)", 0.801, 0.5, 0.5),
        ("Face > 80% of image area: fixed 0.50", 1.0, 0.5, 0.5),
    ],
)
def test_face_area_ratio(
    signals: dict[str, Signal],
    observe: Observe,
    face_of: Callable[..., Face],
    row: str,
    share: float,
    low: float,
    high: float,
) -> None:
    assert low <= signals["face_area_ratio"].read(observe(face=face_of(share))).liveness <= high, row


# --- facial_symmetry -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "index", "low", "high"),
    [
        ("0.80 – 1.00 Highly symmetric", 0.0, 1.0, 1.0),
        ("0.80 – 1.00 Highly symmetric (photographs reach 0.07)", 0.07, 0.80, 1.00),
        ("0.50 – 0.79 Mild asymmetry (upper edge)", 0.081, 0.50, 0.80 - BELOW),
        ("0.50 – 0.79 Mild asymmetry (lower edge)", 0.1399, 0.50, 0.80 - BELOW),
        ("0.00 – 0.49 Notable asymmetry", 0.141, 0.00, 0.50 - BELOW),
        ("above max_asymmetry: 0", 0.20, 0.0, 0.0),
        ("above max_asymmetry: 0", 0.9, 0.0, 0.0),
    ],
)
def test_facial_symmetry(signals: dict[str, Signal], row: str, index: float, low: float, high: float) -> None:
    assert low <= signals["facial_symmetry"]._score(index) <= high, row  # type: ignore[attr-defined]


# --- lbp_texture -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "entropy", "dominant", "low", "high"),
    [
        ("0.80 – 1.00 Skin texture matches a real face", 5.3, 0.17, 0.80, 1.00),
        ("0.55 – 0.79 Broadly consistent (upper edge)", 5.03, 0.17, 0.55, 0.80 - BELOW),
        ("0.55 – 0.79 Broadly consistent (lower edge)", 4.61, 0.17, 0.55, 0.80 - BELOW),
        ("0.35 – 0.54 Partial texture uniformity (upper edge)", 4.59, 0.17, 0.35, 0.55 - BELOW),
        ("0.35 – 0.54 Partial texture uniformity (lower edge)", 4.05, 0.17, 0.35, 0.55 - BELOW),
        ("0.00 – 0.34 Highly uniform or periodic texture", 3.99, 0.17, 0.00, 0.35 - BELOW),
        ("real skin stays below 0.60", 5.3, 0.29, 0.80, 1.00),
        ("lbp_dominant_bin_spoof_threshold: suspiciously uniform", 5.3, 0.601, 0.00, 0.40),
        ("spoofs typically exceed 0.65", 5.3, 0.65, 0.00, 0.34),
    ],
)
def test_lbp_texture(row: str, entropy: float, dominant: float, low: float, high: float) -> None:
    liveness = LbpTexture(SignalParameters()).liveness(entropy_bits=entropy, dominant=dominant)
    assert low <= liveness <= high, row


# --- exif_metadata ---------------------------------------------------------------------------------------

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
            (
                f"Camera + optical parameters present: {count} of 5",
                {**CAMERA, "optical": OPTICAL[:count]},
                0.75 + 0.05 * count,
            )
            for count in range(1, 6)
        ),
        ("Camera with harmless software", {**CAMERA, "software": ("HDR+ 1.0.5",)}, 0.75),
        *(
            (
                f"Screen-capture or editing software detected: {word}",
                {**CAMERA, "software": (f"X {word.title()} 2",)},
                0.10,
            )
            for word in SPOOF_KEYWORDS
        ),
        ("Phones mark screenshots in the comment", {"present": True, "comment": "Screenshot"}, 0.10),
        (
            "A comment that only mentions one is no screenshot",
            {**CAMERA, "comment": "not a screenshot"},
            0.75,
        ),
    ],
)
def test_exif_metadata(
    signals: dict[str, Signal], observe: Observe, row: str, facts: dict[str, object], score: float
) -> None:
    reading = signals["exif_metadata"].read(observe(exif=ExifFacts(**facts)))  # type: ignore[arg-type]
    assert reading.liveness == pytest.approx(score), row
    assert (reading.reason == "spoof_software") == (score == 0.10)


def test_exif_keywords_are_the_published_list() -> None:
    published = "screenshot · screen capture · snipping · obs · bandicam · photoshop · gimp · preview · snagit"
    assert tuple(published.split(" · ")) == SPOOF_KEYWORDS


@pytest.mark.parametrize(
    ("software", "is_spoof"),
    [
        ("OBS", True),
        ("obs64", True),
        ("OBS-Studio 30", True),
        ("Screen_Capture", True),
        ("GIMP 2.10.36", True),
        ("Adobe Photoshop 25.0 (Windows)", True),
        ("Obsidian", False),
        ("Jobs", False),
        ("Steve Jobs Camera", False),
        ("previewer", False),
        ("Gimple", False),
        ("", False),
    ],
)
def test_exif_keywords_match_whole_words(
    signals: dict[str, Signal], observe: Observe, software: str, is_spoof: bool
) -> None:
    reading = signals["exif_metadata"].read(observe(exif=ExifFacts(present=True, software=(software,))))
    assert (reading.liveness == 0.10) == is_spoof
    assert not software or software not in reading.detail


# --- fft_deepfake ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "spectrum", "low", "high"),
    [
        ("0.80 – 1.00 Consistent with a natural camera image", Spectrum(3.3, 0.65, 0.15), 0.80, 1.00),
        ("0.80 – 1.00 (photographs reach these)", Spectrum(4.3, 0.52, 0.30), 0.80, 1.00),
        ("0.60 – 0.79 Broadly natural", Spectrum(4.9, 0.65, 0.15), 0.60, 0.80 - BELOW),
        ("0.40 – 0.59 Moderate frequency anomalies", Spectrum(5.8, 0.65, 0.15), 0.40, 0.60 - BELOW),
        ("0.00 – 0.39 Strong periodic artefacts and directional bias", Spectrum(8.0, 0.6, 0.5), 0.0, 0.39),
        ("GAN images often exceed 6", Spectrum(7.0, 0.65, 0.15), 0.0, 0.50),
        ("fft_kurtosis_max: ceiling", Spectrum(12.0, 0.65, 0.40), 0.0, 0.25),
        ("fft_az_variance_max: directional bias", Spectrum(3.3, 0.65, 0.45), 0.0, 0.60),
    ],
)
def test_fft_deepfake(row: str, spectrum: Spectrum, low: float, high: float) -> None:
    assert low <= FftDeepfake(SignalParameters()).liveness(spectrum) <= high, row


def test_every_reading_is_scored_with_words(signals: dict[str, Signal], observe: Observe) -> None:
    for signal in signals.values():
        reading = signal.read(observe())
        assert reading.status is ReadingStatus.SCORED
        assert reading.detail
        assert (reading.reason == "") == (reading.liveness >= 0.5)
