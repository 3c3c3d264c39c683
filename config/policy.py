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
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator

from config.abuse import AbusePolicy
from config.detector_catalogue import DETECTORS, FURTHER, KNOWN, DetectorSpec, Need
from config.detector_groups import MOST_GROUPS, NAME, RESERVED
from config.injection import INDICATIONS
from config.pad_networks import MOST_LOG_ODDS

#: Policies that ship: the eight published signals alone, and with the presentation-attack networks.
SIGNALS, LEARNED = (Path(__file__).with_name("policies") / f"{name}.toml" for name in ("signals", "learned"))

WEIGHT_TOLERANCE = 1e-9
HEAVIEST = "lbp_texture"

#: A hundredth away from confidence 0 (score 1) and from 0.80 (score 90): far more than confidences are rounded.
LOWEST_BAND, HIGHEST_BAND = 0.01, 0.79


Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SignalParameters(_Frozen):
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


class _Weights(_Frozen):
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


class PadFusion(_Frozen):
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


class _IndicationWeights(_Frozen):
    """Weights of the indications of injection, one field an indication."""


if TYPE_CHECKING:
    IndicationWeights = _IndicationWeights
else:
    IndicationWeights = create_model(
        "IndicationWeights",
        __base__=_IndicationWeights,
        __module__=__name__,
        __doc__=_IndicationWeights.__doc__,
        **{
            code: (float, Field(spec.weight, ge=0, le=10, description=f"weight of an indication: {spec.label}"))
            for code, spec in INDICATIONS.items()
        },
    )


class InjectionPolicy(_Frozen):
    """Injection check: what the indications in a picture's file count."""

    active: bool = Field(True, description="look for indications of an injection attack; off, the flag is always Live")
    not_live: float = Field(1.0, gt=0, le=100, description="sum of weights from which no verdict is LIVE")
    attack: float = Field(2.0, gt=0, le=100, description="sum of weights from which the verdict is SPOOF")
    weights: IndicationWeights = IndicationWeights()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.attack < self.not_live:
            raise ValueError("injection.attack must not be below injection.not_live")
        return self


class GroupGate(_Frozen):
    """Gate of a detector group, whose readings come from another process: they may lower a verdict and never raise
    it."""

    least: float = Field(0.5, gt=0, le=1, description="liveness of a group's reading below which no verdict is LIVE")
    attack: float = Field(0.0, ge=0, le=1, description="liveness of a group's reading below which the verdict is SPOOF")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.attack > self.least:
            raise ValueError("attack must not be above least")
        return self


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


class FaceVerification(_Frozen):
    """Face verification: how much a face must look like that of the reference image."""

    false_match_rate: float = Field(
        1e-4,
        ge=1e-6,
        le=0.1,
        description="share of strangers that pass as the person of the reference image, by the calibration",
    )


class MovementLimits(_Frozen):
    """Limits of a movement: where the movement begins, and where it is over, as a change from the face at rest."""

    enter: float = Field(gt=0)
    leave: float = Field(gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.leave < self.enter:
            raise ValueError("leave must be below enter")
        return self


class TurnLimits(MovementLimits):
    """Limits of a head turn: a flat print turned by 29 degrees is seen as 5.7, a head as 15 and more."""

    enter: float = Field(10.0, gt=0, description="yaw with which a head turn begins, degrees")
    leave: float = Field(6.0, gt=0, description="yaw below which a head turn is over, degrees")


class SmileLimits(MovementLimits):
    """Limits of a smile: smiles reach 0.21 and more, a turned face up to 0.10."""

    enter: float = Field(
        0.15, gt=0, description="growth of the mouth's width and its corners' height, distances of the eyes, of a smile"
    )
    leave: float = Field(0.10, gt=0, description="the same below which a smile is over")


class BlinkLimits(MovementLimits):
    """Limits of a blink. Eyes open at a ratio of 0.25 to 0.35 count as closed below 0.2 (`eye_aspect_ratio`)."""

    enter: float = Field(0.22, gt=0, description="share by which the eyes' openness falls in a blink")
    leave: float = Field(0.13, gt=0, description="the same below which a blink is over")


class ActivePolicy(_Frozen):
    """Active liveness: thresholds of movements, of flatness and of the light challenge.

    The numbers were set on sequences rendered from photographs (`tests/bench/active_liveness.py`, docs/DETECTION.md).
    """

    turn: TurnLimits = TurnLimits()
    smile: SmileLimits = SmileLimits()
    blink: BlinkLimits = BlinkLimits()
    least_measured: Share = Field(0.75, description="share of frames that must have a face, and a face template")
    still_motion: float = Field(
        0.03, ge=0, description="motion within a face, as a share of its size, from which two frames are two pictures"
    )
    copied_misfit: float = Field(
        1.65,
        ge=0,
        description="standard errors left by the best similarity of two frames, below which both are one picture",
    )
    frozen_motion: float = Field(
        0.014, ge=0, description="motion within a face between most frames, below which all frames are one picture"
    )
    most_face_distance: float = Field(
        1.0, gt=0, description="distance of two frames' templates, in distances at which a model sees one person"
    )
    least_foreshortening: float = Field(
        0.03, gt=0, description="foreshortening from which a turned surface is judged; a plane at 14 degrees has 0.03"
    )
    least_depth: float = Field(
        0.25, ge=0, description="what a homography leaves of a turned face, over the root of its foreshortening"
    )
    least_behind: float = Field(
        0.11, ge=0, description="distance by which a turned face leaves its surroundings' motion, distances of the eyes"
    )
    least_correlation: float = Field(
        0.75, gt=0, lt=1, description="correlation of the light on the face with the colours of the screen"
    )
    most_chance: Share = Field(
        0.005,
        description="share of all orders of the colours that may fit as well as the session's, unless that fits best",
    )
    most_odd: float = Field(
        0.45,
        gt=0,
        description="error of one colour against what the others tell of it, in shares of the screen's light",
    )
    most_dim: float = Field(
        0.7, gt=0, description="error of one colour's brightness against the median, in shares of the screen's light"
    )
    least_share: float = Field(0.01, ge=0, description="share of the screen in the face's light that can be measured")
    most_lag: Share = Field(0.3, description="part of the light that may belong to the colour before")
    most_flat: float = Field(
        0.8, gt=0, description="response of the face's sides to the screen, over that of its front"
    )
    most_behind: float = Field(0.4, gt=0, description="response of the background, over that of the face's front")
    most_clipped: Share = Field(0.1, description="clipped share of the face's front that leaves room for light")
    late_ms: int = Field(500, ge=0, description="time after the end of a colour in which its frame may be taken")


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

    name: str = Field("signals", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    inconclusive_band: float = Field(0.04, gt=0, lt=0.2, description="half-width of INCONCLUSIVE around the threshold")
    parameters: SignalParameters = SignalParameters()
    weights: SignalWeights = SignalWeights()
    pad_networks: PadFusion = PadFusion()
    gates: dict[str, Share] = Field(
        default_factory=dict, description="liveness of a signal below which no verdict is LIVE, whatever its weight"
    )
    groups: dict[Annotated[str, StringConstraints(pattern=NAME)], GroupGate] = Field(
        default_factory=dict, max_length=MOST_GROUPS, description="detector groups that a decision waits for, by name"
    )
    injection: InjectionPolicy = InjectionPolicy()
    image: ImageLimits = ImageLimits()
    framing: Framing = Framing()
    template: TemplateGate = TemplateGate()
    verification: FaceVerification = FaceVerification()
    active: ActivePolicy = ActivePolicy()
    deadlines: Deadlines = Deadlines()
    abuse: AbusePolicy = AbusePolicy()
    provenance: dict[str, str | int | float] = Field(
        default_factory=dict, max_length=64, description="how the numbers were found; for people, shapes no verdict"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        threshold, band = self.parameters.live_threshold, self.inconclusive_band
        if threshold - band < LOWEST_BAND or threshold + band > HIGHEST_BAND:
            raise ValueError(
                f"live_threshold with its band must stay within {LOWEST_BAND:g} and {HIGHEST_BAND:g}, "
                "so that every verdict has scores of its own"
            )
        total = sum(self.weights.model_dump().values()) + self.pad_networks.weight
        if abs(total - 1.0) > WEIGHT_TOLERANCE:
            raise ValueError(f"signal weights sum to {total:.6f}, they must sum to 1")
        if RESERVED in self.groups:
            raise ValueError(f"groups: {RESERVED} is no name for a group")
        if unknown := sorted(set(self.gates) - set(KNOWN)):
            raise ValueError(f"gates: there is no signal {unknown[0]}")
        return self

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals that take part, by name: the published ones, then further ones that have a gate."""
        return (*DETECTORS, *(name for name in FURTHER if name in self.gates))

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical JSON of every field but the provenance: the `policy.hash` of a decision."""
        # Tables that are newer than published hashes count once they differ from their defaults.
        unused = {name for name, default in _NEWER.items() if getattr(self, name) == default}
        shaping = self.model_dump(mode="json", exclude={"provenance", *unused})
        canonical = json.dumps(shaping, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


_NEWER: dict[str, Any] = {
    "pad_networks": PadFusion(),
    "gates": {},
    "groups": {},
    "injection": InjectionPolicy(),
    "verification": FaceVerification(),
    "active": ActivePolicy(),
}


def load(path: Path = SIGNALS) -> Policy:
    """Policy of a file (TOML). Unknown keys and bad values raise ValueError."""
    with path.open("rb") as file:
        return Policy.model_validate(tomllib.load(file))
