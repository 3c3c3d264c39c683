"""Weights and limits of the injection check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, create_model, model_validator

from config.catalogues.injection import INDICATIONS
from config.limits.frozen import Frozen


class _IndicationWeights(Frozen):
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


class InjectionPolicy(Frozen):
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
