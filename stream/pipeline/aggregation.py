"""Aggregation: the readings of all signals become one confidence in [0, 1] (1 = live). Pure.

The sum runs over the policy's weights, not over the readings that happen to be there: a signal that is
missing, abstained or failed counts 0, so that it can lower a verdict and never raise it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from config.detector_catalogue import DETECTORS
from config.policy import SignalWeights
from detectors.contract import Reading, ReadingStatus

#: The bar of a signal's `passed`: convenience only, no verdict depends on it.
PASS_MARK = 0.5
#: Confidence is published, and judged, to four decimals.
CONFIDENCE_DIGITS = SCORE_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedSignal:
    """Reading with its share of the confidence, as a decision shows it."""

    reading: Reading
    weight: float

    @property
    def passed(self) -> bool:
        return self.reading.status is ReadingStatus.SCORED and self.score >= PASS_MARK

    @property
    def score(self) -> float:
        """Liveness of the reading in [0, 1], to the published digits, so that `passed` agrees with the number shown."""
        return round(self.reading.liveness, SCORE_DIGITS)

    @property
    def shortfall(self) -> float:
        """Confidence lost through this signal: 0 for a perfect reading, its weight for a missing one."""
        return self.weight * (1.0 - self.reading.liveness)


def weigh(readings: Iterable[Reading], weights: SignalWeights) -> tuple[WeighedSignal, ...]:
    """Signals of the catalogue, each once, in catalogue order; missing ones as abstained. No reading is dropped: a
    `Reading` of any other signal can't be made."""
    by_name = {reading.name: reading for reading in readings}
    shares: dict[str, float] = weights.model_dump()
    return tuple(
        WeighedSignal(reading=by_name.get(name) or _missing(name, spec.label), weight=shares[name])
        for name, spec in DETECTORS.items()
    )


def confidence(signals: Iterable[WeighedSignal]) -> float:
    """Confidence: the weighted sum in [0, 1], rounded as published, so that verdict and published number agree."""
    total = sum(signal.weight * signal.reading.liveness for signal in signals)
    return round(min(max(total, 0.0), 1.0), CONFIDENCE_DIGITS)


def _missing(name: str, label: str) -> Reading:
    return Reading(
        name=name, label=label, status=ReadingStatus.ABSTAINED, reason="not_measured", detail="Not measured."
    )
