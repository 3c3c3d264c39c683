"""Parameters and weights of the signals, and what the presentation-attack networks and detector groups count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, create_model, model_validator

from config.catalogues.detector_catalogue import DETECTORS, DetectorSpec, Need
from config.catalogues.pad_networks import MOST_LOG_ODDS
from config.limits.frozen import Frozen

HEAVIEST = "lbp_texture"


class SignalParameters(Frozen):
    """The twelve published detection parameters, by their published names (units in the descriptions)."""

    live_threshold: float = Field(0.58, gt=0, lt=1, description="middle of the INCONCLUSIVE band of confidence")
    min_face_confidence: float = Field(
        0.60, ge=0, le=1, description="face detector confidence to proceed; a second person is seen below it too"
    )
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


class _Weights(Frozen):
    """Weights: each signal's share of the confidence, one field a detector; with the networks' share they sum to 1,
    and skin texture weighs most.

    Texture and spectrum carry most: on the test photographs and their simulated attacks
    (`tests/bench/signal_ranges.py`) texture and spectrum tell the two apart, while pose, framing, symmetry and
    eyes look the same on a good print.
    """

    @model_validator(mode="after")
    def _check(self) -> Self:
        weights: dict[str, float] = self.model_dump()
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


class PadFusion(Frozen):
    """Fusion of the presentation-attack networks: the mean of their log-odds becomes one liveness, a logistic curve."""

    weight: float = Field(0.0, ge=0, lt=1, description="share of the confidence; 0: networks take no part")
    middle: float = Field(
        0.0, ge=-MOST_LOG_ODDS, le=MOST_LOG_ODDS, description="mean log-odds at which the liveness is 0.5"
    )
    spread: float = Field(1.0, gt=0, le=20, description="log-odds by which the liveness rises from 0.5 to 0.73")
    floor: float = Field(
        -MOST_LOG_ODDS, ge=-MOST_LOG_ODDS, le=MOST_LOG_ODDS, description="mean log-odds below which no verdict is LIVE"
    )
    floors: dict[str, float] = Field(
        default_factory=dict, max_length=32, description="log-odds of a single network below which no verdict is LIVE"
    )


class GroupGate(Frozen):
    """Gate of a detector group, whose readings come from another process: they may lower a verdict and never raise
    it."""

    least: float = Field(0.5, gt=0, le=1, description="liveness of a group's reading below which no verdict is LIVE")
    attack: float = Field(0.0, ge=0, le=1, description="liveness of a group's reading below which the verdict is SPOOF")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.attack > self.least:
            raise ValueError("attack must not be above least")
        return self
