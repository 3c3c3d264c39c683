"""Weighing: shares of the confidence for all signals, fitted to labelled liveness.

Logistic regression with coefficients that can't be negative, so that more liveness never means less confidence; scaled
to the share that networks leave they are weights. The policy's own rule about the heaviest signal is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.detector_catalogue import DETECTORS
from config.policy import HEAVIEST

Floats = NDArray[np.float64]

#: Pull of the coefficients towards 0: with few pictures, signals that tell little apart get little.
_RIDGE = 0.01
_STEPS = 3000
#: Digits of a weight in a policy file, and how far the heaviest signal stays above the next one.
WEIGHT_DIGITS, _LEAD = 4, 0.002
#: Share of all signals below which there is nothing worth fitting, nor room for the lead.
_LEAST_SHARE = 0.02
#: Digits of the heaviest weight, for a share of the networks that has more than the other weights.
_SUM_DIGITS = 10


def fitted(liveness: Floats, bona_fide: NDArray[np.bool_], importance: Floats, share: float = 1.0) -> Floats | None:
    """Weights (signals,), each 0 or more, sum `share`; None where no signal tells bona fide presentations from attacks,
    or where the share is next to nothing.

    `liveness` is (presentations, signals) in [0, 1], in the order of the catalogue; `importance` (presentations,) sums
    to 1.
    """
    seen = np.column_stack([liveness, np.ones(len(liveness))])
    sign = np.where(bona_fide, 1.0, -1.0)
    step = 1.0 / (0.25 * float(np.linalg.eigvalsh((seen * importance[:, None]).T @ seen)[-1]) + _RIDGE)
    coefficients = ahead = np.zeros(seen.shape[1])
    ridge = np.append(np.full(liveness.shape[1], _RIDGE), 0.0)
    for number in range(_STEPS):  # accelerated projected gradient (Beck and Teboulle, 2009)
        miss = 1.0 / (1.0 + np.exp(sign * (seen @ ahead)))
        moved = ahead + step * (seen.T @ (importance * sign * miss) - ridge * ahead)
        moved[:-1] = np.maximum(moved[:-1], 0.0)
        ahead = moved + (moved - coefficients) * number / (number + 3)
        coefficients = moved
    total = float(coefficients[:-1].sum())
    return lawful(coefficients[:-1] * share / total) if total > 0.0 and share >= _LEAST_SHARE else None


def lawful(weights: Floats) -> Floats:
    """Nearest weights of the same sum in which the policy's heaviest signal leads: those above share with it."""
    heaviest = list(DETECTORS).index(HEAVIEST)
    sharing = [heaviest]
    for number in np.argsort(-weights):
        if number != heaviest and weights[number] > weights[sharing].mean() - _LEAD:
            sharing.append(int(number))
    found = weights.copy()
    if len(sharing) > 1:
        found[sharing] = weights[sharing].mean() - _LEAD / len(sharing)
        found[heaviest] += _LEAD
    return found


def rounded(weights: Floats, share: float = 1.0) -> dict[str, float]:
    """Weights by signal as a policy file holds them, sum `share`; what rounding leaves over is the heaviest's."""
    named = {name: round(float(weight), WEIGHT_DIGITS) for name, weight in zip(DETECTORS, weights, strict=True)}
    others = sum(weight for name, weight in named.items() if name != HEAVIEST)
    return {**named, HEAVIEST: round(share - others, _SUM_DIGITS)}
