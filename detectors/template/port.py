"""The port: one aligned chip in, one template out; and what is known of a model before it is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.contract import ModelVersion
from detectors.template.impostors import Distance, ImpostorModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipGeometry:
    """How a face is laid on the square chip the network was trained on.

    Each of `landmarks` is a group of mesh landmarks whose mean is one anchor; `points` are the anchors' places
    on the chip, pixels from the centre of its first pixel, x right, y down, in the same order. A face never fits
    them exactly; `fitted_on` is where the squared errors are summed: on the chip as ArcFace does, or on the frame as
    dlib does (the chip of a turned head then shows less around it).
    """

    side: int
    landmarks: tuple[tuple[int, ...], ...]
    points: tuple[tuple[float, float], ...]
    fitted_on: Literal["chip", "frame"] = "chip"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormat:
    """What the network is fed: (pixel - mean) * scale per channel, float32, one chip."""

    colour: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, float, float]
    scale: float


@dataclass(frozen=True, kw_only=True)
class TemplateSpec:
    """Everything about a model but its weights.

    `sha256` is of the ONNX file. `impostors` and `genuine_threshold` (the distance up to which two templates
    count as one person's) are calibrated; None where nobody has. `output` is the network's output by name, None
    for its only one. `normalise` makes a template a unit vector.
    """

    name: str
    version: str
    sha256: str
    licence: str
    dimension: int
    distance: Distance
    chip: ChipGeometry
    input: InputFormat
    output: str | None = None
    normalise: bool = False
    impostors: ImpostorModel | None = None
    genuine_threshold: float | None = None

    @property
    def model(self) -> ModelVersion:
        return ModelVersion(name=self.name, version=self.version, sha256=self.sha256)

    @cached_property
    def space_sha256(self) -> str:
        """Which templates compare: those of one file, fed and read in one way. The same network on faces laid
        otherwise, say, gives other templates."""
        told = (self.sha256, self.dimension, str(self.distance), self.output, self.normalise, self.chip, self.input)
        return hashlib.sha256(repr(told).encode()).hexdigest()


class TemplateModel(Protocol):
    """Turns chips into templates; one per process, not thread-safe."""

    @property
    def spec(self) -> TemplateSpec: ...

    def embed(self, chip_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 (dimension,), finite, of a uint8 (side, side, 3) RGB chip. Blocks a few milliseconds;
        whatever native code raises is a RuntimeError or ValueError."""


def distance_between(first: NDArray[np.float32], second: NDArray[np.float32], kind: Distance) -> float:
    """How far apart two templates of one model are."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    if kind is Distance.EUCLIDEAN:
        return float(np.linalg.norm(a - b))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, 1.0 - float(a @ b) / length) if length else 1.0
