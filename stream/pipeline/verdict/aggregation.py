"""Aggregation: the readings of all signals become one confidence in [0, 1] (1 = live). Pure.

The sum runs over the policy's weights, not over the readings that happen to be there: a signal that is
missing, abstained or failed counts 0, so that it can lower a verdict and never raise it. The presentation-attack
networks enter as one: the mean of their log-odds on a logistic curve; one that is absent leaves the mean of the rest.
What a policy demands of a bona fide presentation (a floor, a gate) holds the confidence at the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from config.catalogues.detector_catalogue import DETECTORS, KNOWN
from config.catalogues.pad_networks import MOST_LOG_ODDS, PREFIX, SUSPECTED
from config.policy import Policy
from detectors.contract import Reading, ReadingStatus

#: The bar of a signal's `passed`: convenience only, no verdict depends on it.
PASS_MARK = 0.5
#: Signals that look at the picture's surface, whatever head and face are doing.
OF_TEXTURE = frozenset(("lbp_texture", "fft_deepfake"))
#: Confidence is published, and judged, to four decimals.
CONFIDENCE_DIGITS = SCORE_DIGITS = 4
#: Probability at the limit of the log-odds, kept here too: a detection may be a stranger's.
LEAST_LIVENESS = 1 / (1 + math.exp(MOST_LOG_ODDS))
#: Reason of a verdict held at INCONCLUSIVE because no network answered.
NO_NETWORK = "pad_networks_absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedSignal:
    """Reading with its share of the confidence, as a decision shows it. `least`: of a detector group's reading, the
    policy's least liveness that holds no verdict, up to the last digit; None for the mark of all others."""

    reading: Reading
    weight: float
    least: float | None = None
    #: Whether a presentation-attack network made the reading. Kept: a counterfactual judges the signals a dozen times.
    of_network: bool = field(init=False, repr=False, compare=False)
    #: A network's log-odds of a bona fide presentation; None for one that didn't answer, and for other signals.
    log_odds: float | None = field(init=False, repr=False, compare=False)
    #: Liveness of the reading in [0, 1], to the published digits, so that `passed` agrees with the number shown.
    score: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_network = self.reading.is_of_network
        object.__setattr__(self, "of_network", of_network)
        answered = of_network and _is_scored(self.reading)
        object.__setattr__(self, "log_odds", _log_odds(self.reading) if answered else None)
        object.__setattr__(self, "score", round(self.reading.liveness, SCORE_DIGITS))

    @property
    def passed(self) -> bool:
        enough = self.score >= PASS_MARK if self.least is None else self.reading.liveness >= self.least
        return self.reading.status is ReadingStatus.SCORED and enough

    @property
    def of_texture(self) -> bool:
        """Whether the reading is of the picture's surface: a signal of texture, or a network's."""
        return self.of_network or self.reading.name in OF_TEXTURE

    @property
    def failure(self) -> str:
        """Reason code of a signal that did not pass."""
        return self.reading.reason or f"{self.reading.name}_low"

    @property
    def shortfall(self) -> float:
        """Confidence lost through this signal: 0 for a perfect reading, its weight for a missing one."""
        return self.weight * (1.0 - self.reading.liveness)


def weigh(readings: Iterable[Reading], policy: Policy) -> tuple[WeighedSignal, ...]:
    """Signals that take part under the policy, each once, in catalogue order: published, missing ones as abstained;
    further ones that were measured; then the networks that took part, with equal parts of the networks' share."""
    by_name = {reading.name: reading for reading in readings}
    shares: dict[str, float] = policy.weights.model_dump()
    networks = [reading for name, reading in by_name.items() if reading.is_of_network]
    share = policy.pad_networks.weight / max(1, sum(_is_scored(reading) for reading in networks))
    return (
        *(
            WeighedSignal(reading=by_name.get(name) or _missing(name, KNOWN[name].label), weight=shares.get(name, 0.0))
            for name in policy.signals
            if name in DETECTORS or name in by_name
        ),
        *(WeighedSignal(reading=reading, weight=share if _is_scored(reading) else 0.0) for reading in networks),
    )


def confidence(signals: Sequence[WeighedSignal], policy: Policy) -> float:
    """Confidence in [0, 1], rounded as published, so that verdict and published number agree: the weighted sum, with
    the networks' fusion for their share. Where a policy wants networks and none answered, the other signals alone."""
    total = sum(signal.weight * signal.reading.liveness for signal in signals if not signal.of_network)
    fused, share = mean_log_odds(signals), policy.pad_networks.weight
    if fused is not None:
        total += share * _logistic((fused - policy.pad_networks.middle) / policy.pad_networks.spread)
    elif share:
        total /= 1 - share
    return round(min(max(total, 0.0), 1.0), CONFIDENCE_DIGITS)


def texture_confidence(signals: Sequence[WeighedSignal], policy: Policy) -> float:
    """Confidence in [0, 1] by the readings of the surface alone, by their weights: those of texture and the networks'
    fusion. A reading that is missing counts 0, as in `confidence`."""
    texture = [signal for signal in signals if signal.of_texture and not signal.of_network]
    total, whole = sum(each.weight * each.reading.liveness for each in texture), sum(each.weight for each in texture)
    fused, share = mean_log_odds(signals), policy.pad_networks.weight
    if fused is not None:
        total += share * _logistic((fused - policy.pad_networks.middle) / policy.pad_networks.spread)
        whole += share
    return round(min(max(total / whole, 0.0), 1.0), CONFIDENCE_DIGITS) if whole else 0.0


def held_by(signals: Sequence[WeighedSignal], policy: Policy) -> tuple[str, ...]:
    """Reasons why the verdict can't be LIVE whatever the confidence, the networks' first; none as a rule."""
    found = []
    if policy.pad_networks.weight:
        room = room_above_floors(signals, policy)
        if room is None:
            found.append(NO_NETWORK)
        elif room < 0:
            found.append(SUSPECTED)
    if gates := policy.gates:
        gated = [signal for signal in signals if signal.reading.name in gates]
        found += [signal.failure for signal in gated if signal.score < gates[signal.reading.name]]
    return tuple(dict.fromkeys(found))


def room_above_floors(signals: Sequence[WeighedSignal], policy: Policy) -> float | None:
    """Log-odds between the networks and the nearest of their floors, negative below it; None if no network answered."""
    fused = mean_log_odds(signals)
    if fused is None:
        return None
    floors = policy.pad_networks.floors
    singles = [
        each.log_odds - floors.get(each.reading.name.removeprefix(PREFIX), -math.inf)
        for each in signals
        if each.log_odds is not None
    ]
    return min(fused - policy.pad_networks.floor, *singles)


def mean_log_odds(signals: Sequence[WeighedSignal]) -> float | None:
    """Mean of the networks' log-odds of a bona fide presentation; None where no network answered."""
    found = [each.log_odds for each in signals if each.log_odds is not None]
    return sum(found) / len(found) if found else None


def _log_odds(reading: Reading) -> float:
    likely = min(max(reading.liveness, LEAST_LIVENESS), 1 - LEAST_LIVENESS)
    return math.log(likely / (1 - likely))


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _is_scored(reading: Reading) -> bool:
    return reading.status is ReadingStatus.SCORED


def _missing(name: str, label: str) -> Reading:
    return Reading(
        name=name, label=label, status=ReadingStatus.ABSTAINED, reason="not_measured", detail="Not measured."
    )
