"""Calibration: weights and a threshold proposed for labelled pictures, tried on sources that had no part in the fit.

Pictures of one source (a person, a camera, a collection) resemble each other; a fit that has seen some of them knows
the others. So each fold leaves out whole sources, gets weights and a threshold from the rest, and is counted on what it
left out. Mixtures of the present and the fitted weights compete; the one with the highest AUC there is proposed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from config.policy import HIGHEST_BAND, LOWEST_BAND, Policy
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.judged import JudgedPresentation, bona_fide_of, by_species, confidences, judged
from stream.evaluation.operating import threshold_at
from stream.evaluation.ranks import auc
from stream.evaluation.rates import ErrorRate
from stream.evaluation.weighing import Floats, fitted, rounded
from stream.pipeline.aggregation import CONFIDENCE_DIGITS
from stream.pipeline.verdict import EPSILON

#: Shares of the fitted weights in the mixtures; 0 is the present policy with a threshold of its own.
MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_FOLDS = 10
#: Sources of bona fide presentations, and of attacks, so that a fold can leave one out.
LEAST_SOURCES = 2


class NotEnoughSources(Exception):
    """Picture set whose bona fide presentations, or attacks, are all of one source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfSource:
    """Error rates on sources that had no part in the fit, at the threshold of each fold; `order` is the AUC of the
    distance to the threshold, mean of the species."""

    mixture: float
    bpcer: ErrorRate
    apcer: Mapping[str, ErrorRate]
    order: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Policy proposed, and the trials of all mixtures. `bounded`: the threshold that the pictures ask for is outside of
    what a policy can have, and the nearest one stands."""

    policy: Policy
    bpcer_at_most: float
    folds: tuple[tuple[str, ...], ...]
    trials: tuple[OutOfSource, ...]
    chosen: OutOfSource
    bounded: bool


def calibrate(analysed: Sequence[AnalysedPresentation], policy: Policy, bpcer_at_most: float) -> Proposal:
    """Proposal for pictures analysed under this policy. Raises NotEnoughSources."""
    responses = [each for each in judged(analysed, policy) if each.verdict.confidence is not None]
    folds = _folds(responses)
    liveness = np.array([[signal.reading.liveness for signal in each.verdict.signals] for each in responses])
    present = np.array([signal.weight for signal in responses[0].verdict.signals])
    held_out = [np.array([each.presentation.source in fold for each in responses]) for fold in folds]
    margins = {mixture: np.zeros(len(responses)) for mixture in MIXTURES}
    for left_out in held_out:
        best = _fit(liveness, responses, ~left_out, present)
        for mixture in MIXTURES:
            weights = (1.0 - mixture) * present + mixture * best
            margins[mixture][left_out] = _margins(liveness @ weights, responses, left_out, bpcer_at_most)
    trials = tuple(_trial(mixture, margins[mixture], responses) for mixture in MIXTURES)
    chosen = max(trials, key=lambda trial: trial.order)  # of equals the one nearest to the present policy
    everything = np.ones(len(responses), dtype=bool)
    weights = (1.0 - chosen.mixture) * present + chosen.mixture * _fit(liveness, responses, everything, present)
    proposed, bounded = _with_threshold(analysed, _with_weights(policy, weights), bpcer_at_most)
    return Proposal(
        policy=proposed, bpcer_at_most=bpcer_at_most, folds=folds, trials=trials, chosen=chosen, bounded=bounded
    )


def _folds(responses: Sequence[JudgedPresentation]) -> tuple[tuple[str, ...], ...]:
    """Sources of each fold: one source a fold while there are few, then dealt out, the largest first."""
    for label, what in ((True, "bona fide presentations"), (False, "attacks")):
        sources = {each.presentation.source for each in responses if each.is_bona_fide is label}
        if len(sources) < LEAST_SOURCES:
            raise NotEnoughSources(f"{what} with a response are of {len(sources)} sources, at least 2 are needed")
    sizes = Counter(each.presentation.source for each in responses)
    genuine = {each.presentation.source for each in responses if each.is_bona_fide}
    folds: list[list[str]] = [[] for _ in range(min(len(sizes), MOST_FOLDS))]
    # Those of bona fide presentations first, one after the other, so that no fold leaves out all of them.
    order = sorted(sizes, key=lambda source: (source not in genuine, -sizes[source], source))
    for number, source in enumerate(order):
        folds[number % len(folds)].append(source)
    return tuple(tuple(fold) for fold in folds)


def _fit(liveness: Floats, responses: Sequence[JudgedPresentation], part: NDArray[np.bool_], present: Floats) -> Floats:
    """Weights fitted to a part of the responses; the present ones where nothing can be learned."""
    kept = [each for each, taken in zip(responses, part, strict=True) if taken]
    bona_fide = np.array([each.is_bona_fide for each in kept])
    if bona_fide.all() or not bona_fide.any():
        return present
    found = fitted(liveness[part], bona_fide, _importance(kept))
    return present if found is None else found


def _importance(responses: Sequence[JudgedPresentation]) -> Floats:
    """Importance of each: bona fide presentations and attacks weigh alike, and so does each species of the attacks."""
    sizes = Counter(each.presentation.species for each in responses)  # "" is bona fide
    species = len(sizes) - ("" in sizes)
    return np.array(
        [
            0.5 / sizes[""] if each.is_bona_fide else 0.5 / species / sizes[each.presentation.species]
            for each in responses
        ]
    )


def _margins(
    values: Floats, responses: Sequence[JudgedPresentation], left_out: NDArray[np.bool_], bpcer_at_most: float
) -> Floats:
    """Distances of the confidences left out from the threshold that the others ask for."""
    values = np.round(values, CONFIDENCE_DIGITS)
    others = [
        value for value, each, out in zip(values, responses, left_out, strict=True) if each.is_bona_fide and not out
    ]
    threshold = threshold_at(bpcer_at_most, others)
    assert threshold is not None  # at least two sources have bona fide presentations, and one fold leaves out some
    return values[left_out] - threshold


def _trial(mixture: float, margins: Floats, responses: Sequence[JudgedPresentation]) -> OutOfSource:
    places = {id(each): float(margin) for each, margin in zip(responses, margins, strict=True)}
    genuine = [places[id(each)] for each in bona_fide_of(responses)]
    species = {name: [places[id(each)] for each in attacks] for name, attacks in by_species(responses).items()}
    return OutOfSource(
        mixture=mixture,
        bpcer=ErrorRate(sum(margin < -EPSILON for margin in genuine), len(genuine)),
        apcer={name: ErrorRate(sum(m >= -EPSILON for m in each), len(each)) for name, each in species.items()},
        order=fmean(auc(genuine, each) or 0.0 for each in species.values()),
    )


def _with_weights(policy: Policy, weights: Floats) -> Policy:
    name = f"{policy.name.removesuffix('-calibrated')[:52]}-calibrated"
    return Policy.model_validate({**policy.model_dump(), "name": name, "weights": rounded(weights)})


def _with_threshold(
    analysed: Sequence[AnalysedPresentation], policy: Policy, bpcer_at_most: float
) -> tuple[Policy, bool]:
    """Policy whose LIVE bound is the highest that BPCER allows, and whether a policy's limits hold the bound back."""
    wanted = threshold_at(bpcer_at_most, confidences(bona_fide_of(judged(analysed, policy))))
    assert wanted is not None  # `_folds` saw bona fide presentations
    band = policy.inconclusive_band
    bound = min(max(wanted, LOWEST_BAND + 2 * band), HIGHEST_BAND)
    parameters = {**policy.parameters.model_dump(), "live_threshold": round(bound - band, 6)}
    return Policy.model_validate({**policy.model_dump(), "parameters": parameters}), bound != wanted
