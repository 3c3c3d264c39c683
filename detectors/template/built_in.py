"""The model every installation has: dlib's network, converted once at set-up and kept in the cache.

Its weights come with the package face_recognition_models; nothing of that package is imported.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

from detectors.models import sha256_of
from detectors.template import dlib_resnet
from detectors.template.impostors import Distance, ImpostorModel
from detectors.template.port import ChipGeometry, InputFormat, TemplateSpec

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


def chip_geometry(side: int = dlib_resnet.SIDE, padding: float = PADDING) -> ChipGeometry:
    """dlib's own chip. Its coordinates count from the chip's edge, ours from the first pixel's centre."""
    points = tuple(
        ((x + padding) / (1 + 2 * padding) * side - 0.5, (y + padding) / (1 + 2 * padding) * side - 0.5)
        for x, y in _MEAN_FACE
    )
    return ChipGeometry(side=side, landmarks=_LANDMARKS, points=points, fitted_on="frame")


def spec() -> TemplateSpec:
    """dlib's network with the calibration that is shipped."""
    measured = tomllib.loads(CALIBRATION.read_text(encoding="utf-8"))
    fit = measured["calibration"]
    return TemplateSpec(
        name="dlib_face_recognition_resnet",
        version="v1",
        sha256=dlib_resnet.ONNX_SHA256,
        licence="CC0-1.0",
        dimension=dlib_resnet.DIMENSION,
        distance=Distance.EUCLIDEAN,
        chip=chip_geometry(),
        input=InputFormat(mean=(122.782, 117.001, 104.298), scale=1 / 256),
        impostors=ImpostorModel(dof=fit["dof"], scale=fit["scale"]),
        genuine_threshold=fit["genuine_threshold"],
    )


def prepared_file(cache: Path) -> Path:
    """Where the converted file is kept; another conversion would have another name."""
    return cache / "models" / f"dlib_face_recognition_resnet_v1-{dlib_resnet.ONNX_SHA256[:16]}.onnx"


def weights_file() -> Path:
    """The .dat inside the installed package; raises ValueError if it isn't installed."""
    found = find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise ValueError("the package face-recognition-models is not installed")
    return Path(found.origin).parent / _DAT


def prepare(cache: Path) -> Path:
    """Convert the weights into the cache, at once or not at all, unless they are there already. Half a second;
    raises OSError or ValueError."""
    target = prepared_file(cache)
    if target.is_file() and sha256_of(target) == dlib_resnet.ONNX_SHA256:
        return target
    onnx = dlib_resnet.convert(weights_file().read_bytes())
    _write_at_once(target, onnx)
    return target


def _write_at_once(target: Path, contents: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
