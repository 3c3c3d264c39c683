"""The catalogue of detectors: every signal by name, in the order of the published table.

Weights of the policy, labels of a decision, the set of readings that may exist and the documents' table follow
from here. A new signal is its file `detectors/signals/NAME.py` and one line below. Data only, no native code.

Further signals are no part of the published table: each takes part where the policy's gates name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class DetectorKind(StrEnum):
    """Property of the picture that a detector measures."""

    QUALITY = "image quality"
    GEOMETRY = "face geometry"
    TEXTURE = "texture"
    METADATA = "metadata"
    SURROUNDINGS = "surroundings"


class Need(StrEnum):
    """Part of `detectors.signals.FaceObservation` that a detector reads, by its name there."""

    FRAME = "frame"
    FACE = "face"
    POSE = "pose"
    EXIF = "exif"


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """Detector of one signal. `label` is shown to people; `weight` is the default share of the confidence, 0 to 1;
    a signal reads nothing of the observation but its `needs`."""

    label: str
    kind: DetectorKind
    weight: float
    needs: frozenset[Need]


_QUALITY, _GEOMETRY = DetectorKind.QUALITY, DetectorKind.GEOMETRY
_TEXTURE, _METADATA = DetectorKind.TEXTURE, DetectorKind.METADATA
_FRAME, _FACE = frozenset({Need.FRAME}), frozenset({Need.FACE})
_BOTH, _POSE, _EXIF = _FRAME | _FACE, frozenset({Need.POSE}), frozenset({Need.EXIF})

DETECTORS: Mapping[str, DetectorSpec] = MappingProxyType(
    {
        "sharpness": DetectorSpec("Image sharpness", _QUALITY, 0.12, _FRAME),
        "eye_aspect_ratio": DetectorSpec("Eye openness", _GEOMETRY, 0.04, _FACE),
        "head_pose": DetectorSpec("Head pose", _GEOMETRY, 0.04, _POSE),
        "face_area_ratio": DetectorSpec("Face framing", _GEOMETRY, 0.04, _BOTH),
        "facial_symmetry": DetectorSpec("Facial symmetry", _GEOMETRY, 0.04, _FACE),
        "lbp_texture": DetectorSpec("Skin micro-texture", _TEXTURE, 0.31, _BOTH),
        "exif_metadata": DetectorSpec("Camera metadata", _METADATA, 0.11, _EXIF),
        "fft_deepfake": DetectorSpec("Frequency fingerprint", _TEXTURE, 0.30, _BOTH | _POSE),
    }
)

FURTHER: Mapping[str, DetectorSpec] = MappingProxyType(
    {"held_medium": DetectorSpec("Border of a print or display", DetectorKind.SURROUNDINGS, 0.0, _BOTH)}
)

#: Every signal there may be a reading of.
KNOWN: Mapping[str, DetectorSpec] = MappingProxyType({**DETECTORS, **FURTHER})
