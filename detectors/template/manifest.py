"""A face template model of your own: an ONNX file and a TOML manifest that says how to feed it.

    name = "arcface"                  version = "r100"
    file = "arcface.onnx"             # beside the manifest
    sha256 = "..."                    licence = "..."
    dimension = 512                   distance = "cosine"         normalise = true
    output = "embedding"              # only where the network has several
    [input]
    side = 112                        colour = "rgb"              layout = "nchw"
    mean = [127.5, 127.5, 127.5]      scale = 0.0078125
    [chip]                            # left out: ArcFace's five points on 112 pixels
    points = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]
    landmarks = [[33, 133], [362, 263], [1], [61], [291]]
    [calibration]                     # as `liveness models calibrate` prints it; left out where nobody has measured
    genuine_threshold = 0.6           kind = "chi2"               dof = 60.0                  scale = 0.09
    [provenance]                      # may follow: what was measured, for people

(One key a line in a real file.) The weights' licence is yours to observe: many are for research only.

The built-in model with a calibration of your own is a manifest too, the file that `calibrate --toml` writes for it:
`built_in = true`, `[calibration]` and `[provenance]`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from detectors.alignment import ChipGeometry
from detectors.onnx.manifest import InputTable, ManifestTable, NetworkManifest, read_keys, validated
from detectors.template import built_in
from detectors.template.impostors import ImpostorModel, TemplateDistance
from detectors.template.port import TemplateSpec

#: What the analysis codec carries.
MAX_DIMENSION = 1024
_HIGHEST_LANDMARK = 467

#: ArcFace's alignment on 112 pixels (insightface, `arcface_dst`): the eye on the picture's left, the one on its
#: right, tip of the nose, left and right corner of the mouth.
ARCFACE_SIDE = 112
ARCFACE_POINTS = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
#: The mesh landmarks for them: an eye is the middle of its corners.
ARCFACE_LANDMARKS = ((33, 133), (362, 263), (1,), (61,), (291,))

_Landmark = Annotated[int, Field(ge=0, le=_HIGHEST_LANDMARK)]
_Group = Annotated[tuple[_Landmark, ...], Field(min_length=1, max_length=16)]


class _Input(InputTable):
    side: int = Field(ARCFACE_SIDE, ge=32, le=512)


class _Chip(ManifestTable):
    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=5, max_length=5)] = ARCFACE_POINTS
    landmarks: Annotated[tuple[_Group, ...], Field(min_length=5, max_length=5)] = ARCFACE_LANDMARKS


_Threshold = Annotated[float, Field(gt=0, le=100)]


class _Calibration(ManifestTable):
    """`genuine_threshold` may stand at the top of a manifest instead."""

    genuine_threshold: _Threshold | None = None
    kind: Literal["chi2"]
    dof: float = Field(gt=0)
    scale: float = Field(gt=0)

    def impostors(self, distance: TemplateDistance) -> ImpostorModel:
        return ImpostorModel(dof=self.dof, scale=self.scale, distance=distance)


class _OwnFit(_Calibration):
    genuine_threshold: _Threshold


#: Only for people.
_Provenance = dict[str, str | int | float]


class BuiltIn(ManifestTable):
    """The keys of a file that gives the built-in model another calibration."""

    built_in: Literal[True]
    calibration: _OwnFit
    provenance: _Provenance = Field(default_factory=dict)

    def spec(self) -> TemplateSpec:
        model = built_in.spec()
        fit = self.calibration
        return replace(model, impostors=fit.impostors(model.distance), genuine_threshold=fit.genuine_threshold)


class Manifest(NetworkManifest):
    """Keys of a template model's manifest; unknown ones are refused."""

    dimension: int = Field(ge=2, le=MAX_DIMENSION)
    distance: TemplateDistance
    normalise: bool = False
    genuine_threshold: _Threshold | None = None
    input: _Input = _Input()
    chip: _Chip = _Chip()
    calibration: _Calibration | None = None
    provenance: _Provenance = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "points" not in self.chip.model_fields_set and self.input.side != ARCFACE_SIDE:
            raise ValueError(f"chip.points must be given unless input.side is {ARCFACE_SIDE}")
        if any(not -self.input.side <= each <= 2 * self.input.side for point in self.chip.points for each in point):
            raise ValueError("chip.points must lie on or near the chip")
        measured = None if self.calibration is None else self.calibration.genuine_threshold
        if measured is not None and self.genuine_threshold is not None:
            raise ValueError("genuine_threshold stands twice: at the top and in calibration")
        return self

    def spec(self) -> TemplateSpec:
        known = self.calibration
        return TemplateSpec(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            licence=self.licence,
            dimension=self.dimension,
            distance=self.distance,
            chip=ChipGeometry(side=self.input.side, landmarks=self.chip.landmarks, points=self.chip.points),
            input=self.input.format(),
            output=self.output,
            normalise=self.normalise,
            impostors=None if known is None else known.impostors(self.distance),
            genuine_threshold=(known and known.genuine_threshold) or self.genuine_threshold,
        )


def read(path: Path, cache: Path) -> tuple[TemplateSpec, Path]:
    """Specification of the model and its file, which is not opened here; the built-in model's file is in the cache.
    Raises OSError, or ValueError that names each key at fault."""
    keys = read_keys(path)
    if "built_in" in keys:
        return validated(BuiltIn, keys).spec(), built_in.prepared_file(cache)
    manifest = validated(Manifest, keys)
    return manifest.spec(), path.parent / manifest.file
