"""Weighing: shares of the confidence for all signals, fitted to labelled liveness.

Logistic regression with coefficients that can't be negative, so that more liveness never means less confidence; scaled
to the share that networks leave they are weights. Coefficients are pulled towards one that all signals share: with few
pictures of few sources a signal has to show that the signal deserves more than the others. The policy's own rule about
the heaviest signal is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.catalogues.detector_catalogue import DETECTORS
from config.limits.signals import HEAVIEST

Floats = NDArray[np.float64]

#: Pull of the shared coefficient towards 0, and of each coefficient towards the shared one.
_RIDGE, _PULL = 0.01, 0.1
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

    `liveness` is (presentations, signals) in [0, 1], in the order of the catalogue, 0 throughout for a signal that
    takes no part; `importance` (presentations,) sums to 1.
    """
    part = liveness.any(axis=0)
    sum_of_all = liveness.sum(axis=1, keepdims=True)
    shared = _coefficients(sum_of_all, bona_fide, importance, np.zeros(1), _RIDGE)
    found = _coefficients(liveness, bona_fide, importance, part * shared, _PULL)
    total = float(found.sum())
    return lawful(found * share / total) if total > 0.0 and share >= _LEAST_SHARE else None


def _coefficients(
    liveness: Floats, bona_fide: NDArray[np.bool_], importance: Floats, towards: Floats, pull: float
) -> Floats:
    """Coefficients (signals,), each 0 or more, pulled `towards` others."""
    seen = np.column_stack([liveness, np.ones(len(liveness))])
    sign = np.where(bona_fide, 1.0, -1.0)
    step = 1.0 / (0.25 * float(np.linalg.eigvalsh((seen * importance[:, None]).T @ seen)[-1]) + pull)
    coefficients = ahead = np.append(towards, 0.0)
    for number in range(_STEPS):  # accelerated projected gradient (Beck and Teboulle, 2009)
        miss = 1.0 / (1.0 + np.exp(sign * (seen @ ahead)))
        moved = ahead + step * (seen.T @ (importance * sign * miss) - pull * np.append(ahead[:-1] - towards, 0.0))
        moved[:-1] = np.maximum(moved[:-1], 0.0)
        ahead = moved + (moved - coefficients) * number / (number + 3)
        coefficients = moved
    return coefficients[:-1]


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
