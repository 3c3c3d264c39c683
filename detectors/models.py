"""Model files of the face mesh: found, hashed once, and refused if a pinned SHA-256 differs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from detectors.contract import ModelVersion

#: MediaPipe's wheel carries these; FaceMesh with refined landmarks runs exactly these two.
_SOLUTIONS_FILES = (
    ("face_detection_short_range", "modules/face_detection/face_detection_short_range.tflite"),
    ("face_landmark_with_attention", "modules/face_landmark/face_landmark_with_attention.tflite"),
)

#: Counts faces, whichever mesh there is.
_COUNTER_FILE = (
    "face_detection_full_range",
    "modules/face_detection/face_detection_full_range_sparse.tflite",
)

#: face_landmarker.task, float16, version 1 (Apache-2.0), from
#: storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task
FACE_LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
FACE_LANDMARKER_VERSION = "float16/1"
MEDIAPIPE_LICENCE = "Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model and the place of its file; `trouble` says in words what is wrong with the file, empty if nothing is."""

    model: ModelVersion
    path: Path
    licence: str
    trouble: str = ""


def sha256_of(path: Path) -> str:
    """Lower-case hex of the file's SHA-256; raises OSError if the file can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def solutions_models() -> tuple[ModelVersion, ...]:
    """Models inside the installed MediaPipe wheel."""
    return tuple(file.model for file in solutions_files())


def solutions_files() -> tuple[ModelFile, ...]:
    """Model files of the mesh inside the installed MediaPipe wheel. Raises RuntimeError."""
    return tuple(_in_wheel(name, file) for name, file in _SOLUTIONS_FILES)


def counter_file() -> ModelFile:
    """Model file of the face counter inside the installed MediaPipe wheel. Raises RuntimeError."""
    return _in_wheel(*_COUNTER_FILE)


@cache
def _in_wheel(name: str, file: str) -> ModelFile:
    """Model file of the installed wheel, located without importing MediaPipe."""
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise RuntimeError("mediapipe is not installed")
    path, release = Path(spec.origin).parent / file, f"mediapipe {version('mediapipe')}"
    model = ModelVersion(name=name, version=release, sha256=sha256_of(path))
    return ModelFile(model=model, path=path, licence=MEDIAPIPE_LICENCE)


def face_landmarker_model(bundle: bytes) -> ModelVersion:
    """Model of a Tasks bundle, given the bundle's bytes; raises ValueError unless the SHA-256 is the pinned one."""
    found = hashlib.sha256(bundle).hexdigest()
    if found != FACE_LANDMARKER_SHA256:
        raise ValueError(f"face_landmarker.task: SHA-256 {found} is not the pinned {FACE_LANDMARKER_SHA256}")
    return ModelVersion(name="face_landmarker", version=FACE_LANDMARKER_VERSION, sha256=found)
