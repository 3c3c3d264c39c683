"""The specification of a template model before loading, and how far two templates lie apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.alignment import ChipGeometry
from detectors.contract import ModelVersion, Template
from detectors.onnx.input_format import InputFormat
from detectors.template.impostors import ImpostorModel, TemplateDistance


@dataclass(frozen=True, kw_only=True)
class TemplateSpec:
    """Specification of a template model: everything but the weights.

    `sha256` is of the ONNX file. `impostors` and `genuine_threshold` (the distance up to which two templates
    count as one person's) are calibrated; None where nobody has. `output` is the network's output by name, None
    for its only one. `normalise` makes a template a unit vector.
    """

    name: str
    version: str
    sha256: str
    licence: str
    dimension: int
    distance: TemplateDistance
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
        """Hash of the space that templates lie in: templates compare only if made from one file, fed and read in one
        way. Depends on the `repr` of `ChipGeometry` and `InputFormat`: a renamed field voids stored templates."""
        told = (self.sha256, self.dimension, str(self.distance), self.output, self.normalise, self.chip, self.input)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def distance_between(first: NDArray[np.float32], second: NDArray[np.float32], kind: TemplateDistance) -> float:
    """Distance of two templates of one model, from 0 on; smaller is more alike."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    if kind is TemplateDistance.EUCLIDEAN:
        return float(np.linalg.norm(a - b))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, 1.0 - float(a @ b) / length) if length else 1.0


def strangers_as_alike(first: Template, second: Template, impostors: ImpostorModel) -> float:
    """Share of pairs of strangers, from 0 to 1, that look at least as much alike as these two faces: the false match
    rate of a threshold at their distance. Raises ValueError for templates of two models, which don't compare."""
    if (first.model, first.model_sha256, len(first.vector)) != (second.model, second.model_sha256, len(second.vector)):
        raise ValueError("templates of two models")
    one, other = (np.frombuffer(each.vector, "<f4") for each in (first, second))
    return impostors.false_match_rate(distance_between(one, other, impostors.distance))
