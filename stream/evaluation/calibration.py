"""Calibration: weights, floors of the networks and a threshold proposed for labelled pictures, tried on sources that
had no part in the fit.

Pictures of one source (a person, a camera, a collection) resemble each other; a fit that has seen some of them knows
the others. So each fold leaves out whole sources, gets weights, floors and threshold from the rest, and is counted on
what it left out. Mixtures of the present and the fitted weights compete; the one with the highest AUC there is
proposed. Floors move together; the networks' share and the gates stay, and a signal without weight gets none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import floor, inf
from statistics import fmean
from typing import Any

import numpy as np

from config.detector_catalogue import DETECTORS
from config.pad_networks import MOST_LOG_ODDS
from config.policy import HIGHEST_BAND, LOWEST_BAND, Policy
from detectors.contract import Analysis
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.judged import JudgedPresentation, bona_fide_of, bounds_reached, by_species, judged
from stream.evaluation.operating import threshold_at
from stream.evaluation.ranks import auc
from stream.evaluation.rates import ErrorRate
from stream.evaluation.weighing import Floats, fitted, rounded
from stream.pipeline.aggregation import room_above_floors
from stream.pipeline.verdict import EPSILON, judge

#: Shares of the fitted weights in the mixtures; 0 is the present policy with a threshold of its own.
MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_FOLDS = 10
#: Sources of bona fide presentations, and of attacks, so that a fold can leave one out.
LEAST_SOURCES = 2
#: Part of the highest BPCER that the networks' floors may cost; the rest is the threshold's.
FLOORS_PART = 0.5
_FLOOR_STEPS = 10_000


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
    what a policy can have, or more is held back than the highest BPCER allows; the nearest threshold stands."""

    policy: Policy
    bpcer_at_most: float
    folds: tuple[tuple[str, ...], ...]
    trials: tuple[OutOfSource, ...]
    chosen: OutOfSource
    bounded: bool


def calibrate(analysed: Sequence[AnalysedPresentation], policy: Policy, bpcer_at_most: float) -> Proposal:
    """Proposal for pictures analysed under this policy. Raises NotEnoughSources."""
    answered = [each for each in analysed if _is_answered(each, policy)]
    responses = judged(answered, policy)
    folds = _folds(responses)
    margins = {mixture: np.zeros(len(responses)) for mixture in MIXTURES}
    for fold in folds:
        left_out = np.array([each.presentation.source in fold for each in responses])
        others = list(compress(responses, ~left_out))
        best = _fit(others, policy)
        for mixture in MIXTURES:
            candidate = _candidate(others, policy, mixture, best, bpcer_at_most)
            reached = np.array(bounds_reached(judged(answered, candidate)))
            margins[mixture][left_out] = reached[left_out] - _threshold(reached[~left_out], others, bpcer_at_most)
    trials = tuple(_trial(mixture, margins[mixture], responses) for mixture in MIXTURES)
    chosen = max(trials, key=lambda trial: trial.order)  # of equals the one nearest to the present policy
    candidate = _candidate(responses, policy, chosen.mixture, _fit(responses, policy), bpcer_at_most)
    proposed, bounded = _with_threshold(judged(answered, candidate), candidate, bpcer_at_most)
    return Proposal(
        policy=proposed, bpcer_at_most=bpcer_at_most, folds=folds, trials=trials, chosen=chosen, bounded=bounded
    )


def _is_answered(each: AnalysedPresentation, policy: Policy) -> bool:
    return isinstance(each.finding, Analysis) and judge(each.finding, policy).confidence is not None


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


def _fit(responses: Sequence[JudgedPresentation], policy: Policy) -> Floats:
    """Weights of the catalogue's signals fitted to responses; the present ones where nothing can be learned."""
    present = np.array([*policy.weights.model_dump().values()])
    bona_fide = np.array([each.is_bona_fide for each in responses])
    if bona_fide.all() or not bona_fide.any():
        return present
    liveness = np.array([_liveness(each) for each in responses]) * (present > 0.0)  # 0 throughout gets no weight
    found = fitted(liveness, bona_fide, _importance(responses), 1.0 - policy.pad_networks.weight)
    return present if found is None else found


def _liveness(each: JudgedPresentation) -> list[float]:
    """Liveness of the catalogue's signals, in its order."""
    found = {signal.reading.name: signal.reading.liveness for signal in each.verdict.signals}
    return [found[name] for name in DETECTORS]


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


def _candidate(
    responses: Sequence[JudgedPresentation], policy: Policy, mixture: float, best: Floats, bpcer_at_most: float
) -> Policy:
    """Policy with a mixture of its weights and the best ones, and with the floors that the responses ask for."""
    name = f"{policy.name.removesuffix('-calibrated')[:52]}-calibrated"
    changes = {**policy.model_dump(), "name": name}
    present = np.array([*policy.weights.model_dump().values()])
    if mixture and not np.allclose(best, present):
        share = 1.0 - policy.pad_networks.weight
        changes["weights"] = rounded((1.0 - mixture) * present + mixture * best, share)
    changes["pad_networks"] |= _floors(responses, policy, bpcer_at_most)
    return Policy.model_validate(changes)


def _floors(responses: Sequence[JudgedPresentation], policy: Policy, bpcer_at_most: float) -> dict[str, Any]:
    """Floors of the networks, all moved by the same log-odds: the highest that cost their part of BPCER at most."""
    present = policy.pad_networks
    rooms = (room_above_floors(each.verdict.signals, policy) for each in bona_fide_of(responses))
    move = threshold_at(FLOORS_PART * bpcer_at_most, [room for room in rooms if room is not None])
    if not present.weight or move is None:
        return {}
    mean = min(max(_rounded_down(present.floor + move), -MOST_LOG_ODDS), MOST_LOG_ODDS)
    return {"floor": mean, "floors": {name: _rounded_down(single + move) for name, single in present.floors.items()}}


def _rounded_down(log_odds: float) -> float:
    return floor(log_odds * _FLOOR_STEPS) / _FLOOR_STEPS


def _threshold(reached: Floats, responses: Sequence[JudgedPresentation], bpcer_at_most: float) -> float:
    """LIVE bound that the responses ask for; where more of them are held back than BPCER allows, the lowest that adds
    none."""
    genuine = [float(bound) for bound, each in zip(reached, responses, strict=True) if each.is_bona_fide]
    found = threshold_at(bpcer_at_most, genuine)
    return min((bound for bound in genuine if bound > -inf), default=HIGHEST_BAND) if found is None else found


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


def _with_threshold(
    responses: Sequence[JudgedPresentation], policy: Policy, bpcer_at_most: float
) -> tuple[Policy, bool]:
    """Policy whose LIVE bound is the highest that BPCER allows, and whether a policy's limits hold the bound back."""
    reached = bounds_reached(responses)
    wanted = _threshold(np.array(reached), responses, bpcer_at_most)
    band = policy.inconclusive_band
    bound = min(max(wanted, LOWEST_BAND + 2 * band), HIGHEST_BAND)
    parameters = {**policy.parameters.model_dump(), "live_threshold": round(bound - band, 6)}
    met = threshold_at(bpcer_at_most, bounds_reached(bona_fide_of(responses))) == bound
    return Policy.model_validate({**policy.model_dump(), "parameters": parameters}), not met
