"""Pictures and analysers shared by the detector tests. Photographs come from outside the repository."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from config.policy import Policy
from detectors.analysis import FaceAnalyser, FramedFace
from detectors.contract import ImageRefused
from detectors.exif import ExifFacts
from detectors.face_mesh import Box, Face, Pose
from detectors.frame import WorkingFrame
from detectors.signals import FaceObservation
from detectors.template import TemplateSource, built_in, open_template
from detectors.template.onnx_model import TemplateModel
from stream.demo import attacks

ROOT = Path(__file__).resolve().parents[3]
UPRIGHT = Pose(0, 0, 0)


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy()


@pytest.fixture(scope="session")
def astronaut() -> attacks.Photo:
    """NASA's portrait of Eileen Collins out of scikit-image, 512x512 BGR, without importing scikit-image."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return attacks.decode((Path(spec.origin).parent / "data" / "astronaut.png").read_bytes())


@pytest.fixture(scope="session")
def portrait(astronaut: attacks.Photo) -> attacks.Photo:
    return attacks.portrait(astronaut)


@pytest.fixture(scope="session")
def selfie(portrait: attacks.Photo) -> bytes:
    return attacks.camera_photo(portrait)


@pytest.fixture(scope="session")
def analyser(policy: Policy) -> Iterator[FaceAnalyser]:
    made = FaceAnalyser(policy)
    yield made
    made.close()


def _there(path: Path, mend: str = "") -> Path:
    if not path.exists():
        pytest.skip(f"no {path}{mend}")
    return path


def _outside(variable: str, default: str) -> Path:
    return _there(Path(os.environ.get(variable, ROOT / default)), f": set {variable}")


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    return sorted(_outside("LIVENESS_TEST_IMAGES", "../shared/images").glob("*.jpg"))


@pytest.fixture(scope="session")
def bundle() -> Path:
    return _there(_outside("LIVENESS_TEST_MODELS", "../shared/models") / "face_landmarker.task")


@pytest.fixture(scope="session")
def weights() -> Path:
    return _there(built_in.weights_file())


@pytest.fixture(scope="session")
def source(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> TemplateSource:
    cache = tmp_path_factory.mktemp("cache")
    built_in.prepare(cache)
    return TemplateSource(manifest=None, cache=cache)


@pytest.fixture(scope="session")
def model(source: TemplateSource) -> TemplateModel:
    return open_template(source)


@pytest.fixture(scope="session")
def dlib() -> ModuleType:
    return pytest.importorskip("dlib", reason="dlib-bin is not installed: no comparison with dlib itself")


@pytest.fixture(scope="session")
def framed_faces(analyser: FaceAnalyser, photographs: list[Path]) -> dict[str, FramedFace]:
    found = {}
    for path in photographs:
        try:
            found[path.stem] = analyser.look(path.read_bytes())
        except ImageRefused:
            continue
    return found


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """A 4x4 transform with these angles (degrees), by the definition in `detectors.face_mesh.pose`."""
    y, p, r = math.radians(yaw), math.radians(-pitch), math.radians(roll)
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    transform = np.eye(4)
    transform[:3, :3] = about_y @ about_x @ about_z
    return transform


def face_of(share: float = 0.2, **overrides: Any) -> Face:
    """A face whose box has this share of a 1000x1000 frame, centred; its landmarks are all zero."""
    half = 500 * math.sqrt(share)
    box = Box(500 - half, 500 - half, 500 + half, 500 + half)
    fields = {"landmarks": np.zeros((478, 3), np.float32), "box": box, "transform": np.eye(4)}
    return Face(**{**fields, **overrides})


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def grey_frame(grey: np.ndarray) -> WorkingFrame:
    return WorkingFrame(bgr=np.dstack([grey] * 3), grey=grey)


NOISE = np.random.default_rng(7).integers(0, 256, (1000, 1000), np.uint8)


def observe(**seen: Any) -> FaceObservation:
    """An observation on a 1000x1000 frame of grey noise; what a test cares about comes by name, a picture as `grey`."""
    frame = grey_frame(seen.pop("grey", NOISE))
    return FaceObservation(**{"frame": frame, "face": face_of(), "pose": UPRIGHT, "exif": ExifFacts(), **seen})
