"""The built-in template model: dlib's network, converted once at set-up and kept in the cache.

Its weights come with the package face_recognition_models; nothing of that package is imported.
"""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path

from detectors.alignment import ChipGeometry
from detectors.models import sha256_of
from detectors.onnx.files import write_model
from detectors.onnx.input_format import InputFormat
from detectors.template import dlib_resnet
from detectors.template.impostors import ImpostorModel, TemplateDistance
from detectors.template.port import TemplateSpec

_DAT = "models/dlib_face_recognition_resnet_model_v1.dat"
PREPARE = "liveness models prepare"
CALIBRATION = Path(__file__).with_name("calibration.toml")

#: dlib's mean face (`get_face_chip_details`, five landmarks), a share of the face's square: outer and inner
#: corner of the left eye, of the right eye, base of the nose.
_MEAN_FACE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
#: The mesh landmarks nearest to them.
_LANDMARKS = ((263,), (362,), (33,), (133,), (2,))
#: Of the face's square, on each side of it: the network was trained on chips cut so.
PADDING = 0.25


def chip_geometry() -> ChipGeometry:
    """Geometry of dlib's chip. dlib's coordinates count from the chip's edge, ours from the first pixel's centre."""
    side = dlib_resnet.SIDE
    points = tuple(
        ((x + PADDING) / (1 + 2 * PADDING) * side - 0.5, (y + PADDING) / (1 + 2 * PADDING) * side - 0.5)
        for x, y in _MEAN_FACE
    )
    return ChipGeometry(side=side, landmarks=_LANDMARKS, points=points, fitted_on="frame")


def spec() -> TemplateSpec:
    """Specification of dlib's network with the shipped calibration."""
    measured = tomllib.loads(CALIBRATION.read_text(encoding="utf-8"))
    fit = measured["calibration"]
    return TemplateSpec(
        name="dlib_face_recognition_resnet",
        version="v1",
        sha256=dlib_resnet.ONNX_SHA256,
        licence="CC0-1.0",
        dimension=dlib_resnet.DIMENSION,
        distance=TemplateDistance.EUCLIDEAN,
        chip=chip_geometry(),
        input=InputFormat(mean=(122.782, 117.001, 104.298), scale=1 / 256),
        impostors=ImpostorModel(dof=fit["dof"], scale=fit["scale"]),
        genuine_threshold=fit["genuine_threshold"],
    )


def prepared_file(cache: Path) -> Path:
    """Place of the converted file, which need not exist; another conversion has another name."""
    return cache / "models" / f"dlib_face_recognition_resnet_v1-{dlib_resnet.ONNX_SHA256[:16]}.onnx"


def weights_file() -> Path:
    """Place of the weights inside the installed package; raises ValueError if the package isn't installed."""
    found = find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise ValueError("the package face-recognition-models is not installed")
    return Path(found.origin).parent / _DAT


def prepare(cache: Path) -> Path:
    """Place of the converted file, after converting the weights into the cache unless the right file is there.

    Takes half a second; raises OSError or ValueError, after which no half-written file is left. May be repeated.
    """
    target = prepared_file(cache)
    if target.is_file() and sha256_of(target) == dlib_resnet.ONNX_SHA256:
        return target
    write_model(target, dlib_resnet.convert(weights_file().read_bytes()))
    return target
