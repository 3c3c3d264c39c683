"""The eight passive signals, one file each, in the order of the published table.

`base` has what a signal is given and how it answers; `crops` cuts the face for the two texture signals.
The numbers beside the score maps were measured on real photographs and simulated attacks by
`tests/bench/signal_ranges.py`; run it again after any change to `frame` or to a measurement.
To add one: write its file, put it in `SIGNALS`, give it a weight in `config.policy.SignalWeights`.
"""

from __future__ import annotations

from config.policy import SignalParameters
from detectors.signals.base import Observation, Signal
from detectors.signals.exif_metadata import ExifMetadata
from detectors.signals.eye_aspect_ratio import EyeAspectRatio
from detectors.signals.face_area_ratio import FaceAreaRatio
from detectors.signals.facial_symmetry import FacialSymmetry
from detectors.signals.fft_deepfake import FftDeepfake
from detectors.signals.head_pose import HeadPose
from detectors.signals.lbp_texture import LbpTexture
from detectors.signals.sharpness import Sharpness

__all__ = ["SIGNALS", "Observation", "Signal", "build"]

SIGNALS = (
    Sharpness,
    EyeAspectRatio,
    HeadPose,
    FaceAreaRatio,
    FacialSymmetry,
    LbpTexture,
    ExifMetadata,
    FftDeepfake,
)


def build(parameters: SignalParameters) -> tuple[Signal, ...]:
    """Every signal with its tables, once per process."""
    return tuple(signal(parameters) for signal in SIGNALS)
