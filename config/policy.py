"""The policy: every threshold, weight and limit that shapes a verdict, with a hash of its own.

A policy is a value: two workers with the same policy hash give the same verdict for the same picture and
models. Connections and sizes of pools are not policy; they live in `config.settings`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from config.abuse import AbusePolicy
from config.detector_catalogue import DETECTORS, DetectorSpec, Need

BUILT_IN = Path(__file__).with_name("policy.toml")

WEIGHT_TOLERANCE = 1e-9
HEAVIEST = "lbp_texture"

#: A hundredth away from confidence 0 (score 1) and from 0.80 (score 90): far more than confidences are rounded.
LOWEST_BAND, HIGHEST_BAND = 0.01, 0.79


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SignalParameters(_Frozen):
    """The twelve published detection parameters, by their published names (units in the descriptions)."""

    live_threshold: float = Field(0.58, gt=0, lt=1, description="middle of the INCONCLUSIVE band of confidence")
    min_face_confidence: float = Field(0.60, ge=0, le=1, description="face detector confidence to proceed")
    min_blur_variance: float = Field(40.0, gt=0, description="Laplacian variance floor, 8-bit grey levels squared")
    min_ear: float = Field(0.15, gt=0, lt=1, description="eye aspect ratio below which the eyes count as closed")
    max_yaw_deg: float = Field(35.0, gt=0, le=90, description="yaw at which the pose score begins to decay, degrees")
    max_pitch_deg: float = Field(
        30.0, gt=0, le=90, description="pitch at which the pose score begins to decay, degrees"
    )
    min_face_area_ratio: float = Field(
        0.04, gt=0, lt=1, description="face box over image area below which is penalised"
    )
    max_asymmetry: float = Field(0.20, gt=0, description="symmetry index at which the symmetry score reaches 0")
    lbp_dominant_bin_spoof_threshold: float = Field(
        0.60, gt=0, lt=1, description="dominant LBP bin fraction above which skin is suspiciously uniform"
    )
    fft_kurtosis_max: float = Field(12.0, gt=3, description="ring kurtosis ceiling; natural images are near 3")
    fft_hf_ratio_baseline: float = Field(0.65, gt=0, lt=1, description="expected high-frequency energy ratio")
    fft_az_variance_max: float = Field(0.35, gt=0, description="azimuthal variance above which is directional bias")


class _Weights(_Frozen):
    """Weights: each signal's share of the confidence, one field a detector; the shares sum to 1 and skin texture weighs
    most.

    Texture and spectrum carry most: on the test photographs and their simulated attacks
    (`tests/bench/signal_ranges.py`) texture and spectrum tell the two apart, while pose, framing, symmetry and
    eyes look the same on a good print.
    """

    @model_validator(mode="after")
    def _check(self) -> Self:
        weights: dict[str, float] = self.model_dump()
        if abs(sum(weights.values()) - 1.0) > WEIGHT_TOLERANCE:
            raise ValueError(f"signal weights sum to {sum(weights.values()):.6f}, they must sum to 1")
        if any(w >= weights[HEAVIEST] for name, w in weights.items() if name != HEAVIEST):
            raise ValueError(f"{HEAVIEST} must be the heaviest signal")
        return self


def _weight_field(spec: DetectorSpec) -> Any:
    needs = ", ".join(need for need in Need if need in spec.needs)
    return Field(spec.weight, ge=0, le=1, description=f"{spec.label} ({spec.kind}; reads {needs})")


if TYPE_CHECKING:
    SignalWeights = _Weights
else:
    SignalWeights = create_model(
        "SignalWeights",
        __base__=_Weights,
        __module__=__name__,
        __doc__=_Weights.__doc__,
        **{name: (float, _weight_field(spec)) for name, spec in DETECTORS.items()},
    )


class ImageLimits(_Frozen):
    """Limits of the image gate, before a native decoder sees the file."""

    max_bytes: int = Field(10 * 1024 * 1024, gt=0, description="decoded image file, bytes")
    max_pixels: int = Field(
        51_000_000, gt=0, le=64_000_000, description="width x height from the header; phones of 50 megapixels pass"
    )
    max_side: int = Field(16_384, gt=0, description="longest side, pixels")
    min_side: int = Field(64, gt=0, description="shortest side, pixels")
    max_pixels_per_byte: float = Field(
        400.0, gt=0, description="header pixels over file bytes; photographs stay far below, decompression bombs do not"
    )


class Framing(_Frozen):
    """Framing: faces, their size and rotation asked for in a selfie."""

    max_bystander_ratio: float = Field(
        0.25, ge=0, le=1, description="a second face with a box below this share of the largest is a far bystander"
    )
    max_rotation_deg: float = Field(30.0, gt=0, le=90, description="head rotation asked for, any axis, degrees")
    ideal_face_area: tuple[float, float] = Field((0.10, 0.40), description="face box share of a good selfie")

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.ideal_face_area
        if not 0 <= low < high <= 1:
            raise ValueError("ideal_face_area must be two rising shares between 0 and 1")
        return self


class TemplateGate(_Frozen):
    """Quality gate of enrolment: a bad view of a face gets no template."""

    active: bool = Field(True, description="make a face template of every picture that passes this gate")
    min_interocular_px: float = Field(
        32.0, gt=0, description="distance of the eyes' centres below which a face is too small, pixels"
    )
    min_border_ratio: float = Field(
        0.02, ge=0, lt=1, description="room between face and picture edge, as a share of the face's width"
    )
    max_yaw_deg: float = Field(40.0, gt=0, le=90, description="yaw above which there is no template, degrees")
    max_pitch_deg: float = Field(30.0, gt=0, le=90, description="pitch above which there is no template, degrees")
    max_roll_deg: float = Field(45.0, gt=0, le=180, description="roll above which there is no template, degrees")


class Deadlines(_Frozen):
    """Deadlines, nested: a detector gives up before the event does, the event before a rebalance takes it away."""

    detector_s: float = Field(10.0, gt=0)
    event_s: float = Field(25.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.event_s < 2 * self.detector_s:
            raise ValueError("event_s must leave room for two detector deadlines (a crash is retried once)")
        return self


class Policy(_Frozen):
    """Policy: all that a verdict depends on besides the picture and the models."""

    name: str = Field("default", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    inconclusive_band: float = Field(0.04, gt=0, lt=0.2, description="half-width of INCONCLUSIVE around the threshold")
    parameters: SignalParameters = SignalParameters()
    weights: SignalWeights = SignalWeights()
    image: ImageLimits = ImageLimits()
    framing: Framing = Framing()
    template: TemplateGate = TemplateGate()
    deadlines: Deadlines = Deadlines()
    abuse: AbusePolicy = AbusePolicy()

    @model_validator(mode="after")
    def _check(self) -> Self:
        threshold, band = self.parameters.live_threshold, self.inconclusive_band
        if threshold - band < LOWEST_BAND or threshold + band > HIGHEST_BAND:
            raise ValueError(
                f"live_threshold with its band must stay within {LOWEST_BAND:g} and {HIGHEST_BAND:g}, "
                "so that every verdict has scores of its own"
            )
        return self

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical JSON of every field: the `policy.hash` of a decision."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def load(path: Path | None = None) -> Policy:
    """Policy of a file (TOML), the built-in one by default. Unknown keys and bad values raise ValueError."""
    with (path or BUILT_IN).open("rb") as file:
        return Policy.model_validate(tomllib.load(file))
