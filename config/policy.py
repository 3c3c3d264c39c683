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
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from config.catalogues.detector_catalogue import DETECTORS, FURTHER, KNOWN
from config.detector_groups import MOST_GROUPS, NAME, RESERVED
from config.limits.abuse import AbusePolicy
from config.limits.active import ActivePolicy
from config.limits.capture import FaceVerification, Framing, ImageLimits, TemplateGate
from config.limits.frozen import Frozen, Share
from config.limits.injection import InjectionPolicy
from config.limits.signals import GroupGate, PadFusion, SignalParameters, SignalWeights

#: Policies that ship: the eight published signals alone, and with the presentation-attack networks.
SIGNALS, LEARNED = (Path(__file__).with_name("policies") / f"{name}.toml" for name in ("signals", "learned"))

WEIGHT_TOLERANCE = 1e-9

#: A hundredth away from confidence 0 (score 1) and from 0.80 (score 90): far more than confidences are rounded.
LOWEST_BAND, HIGHEST_BAND = 0.01, 0.79


class Deadlines(Frozen):
    """Deadlines, nested: a detector gives up before the event does, the event before a rebalance takes it away."""

    detector_s: float = Field(10.0, gt=0)
    event_s: float = Field(25.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.event_s < 2 * self.detector_s:
            raise ValueError("event_s must leave room for two detector deadlines (a crash is retried once)")
        return self


class Policy(Frozen):
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
