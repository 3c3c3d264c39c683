"""Calibration: weights, gates, floors of the networks and a threshold proposed for labelled pictures, tried on sources
that had no part in the fit.

Pictures of one source (a person, a camera, a collection) resemble each other; a fit that has seen some of them knows
the others. So each fold leaves out whole sources, gets all numbers from the rest, and is counted on what it left out;
sources that share a picture are one. Mixtures of the present and the fitted weights compete; the one nearest to the
present whose AUC there is not clearly below the highest is proposed. Floors move together, and bounds lie below what
the pictures ask for by a margin that grows with the differences between sources (`margins`). The networks' share and
the gates of picture quality stay, and a signal without weight gets none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import floor, inf
from statistics import fmean
from typing import Any

import numpy as np

from config.catalogues.detector_catalogue import DETECTORS
from config.catalogues.pad_networks import MOST_LOG_ODDS, SUSPECTED
from config.policy import HIGHEST_BAND, LOWEST_BAND, Policy
from detectors.contract import Analysis
from stream.evaluation.analysing import AnalysedPresentation
from stream.evaluation.judged import JudgedPresentation, bona_fide_of, bounds_reached, by_species, judged
from stream.evaluation.margins import cautious_bound
from stream.evaluation.operating import threshold_at
from stream.evaluation.rates import ErrorRate, auc
from stream.evaluation.weighing import Floats, fitted, rounded
from stream.pipeline.verdict.aggregation import NO_NETWORK, room_above_floors
from stream.pipeline.verdict.verdict import EPSILON, judge, live_bound

#: Shares of the fitted weights in the mixtures; 0 is the present policy with a threshold of its own.
MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_FOLDS = 10
#: Sources of bona fide presentations, and of attacks, so that a fold can leave one out.
LEAST_SOURCES = 2
#: End of the name of a policy that is a calibration's start and nothing else.
UNCALIBRATED = "-uncalibrated"
#: Gain of mean AUC for which weights further from the present ones are taken: less is chance (an AUC of 60 against 64
#: pictures has a standard error of 0.03, by Hanley and McNeil, 1982).
LEAST_GAIN = 0.02
EVEN_ODDS = 0.0
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
    what a policy can have, or more is held back than the highest BPCER allows; the nearest threshold stands. `stands`
    is the present policy with all its numbers on the same pictures, left out of nothing."""

    policy: Policy
    bpcer_at_most: float
    folds: tuple[tuple[str, ...], ...]
    stands: OutOfSource
    trials: tuple[OutOfSource, ...]
    chosen: OutOfSource
    bounded: bool


def calibrate(analysed: Sequence[AnalysedPresentation], policy: Policy, bpcer_at_most: float) -> Proposal:
    """Proposal for pictures analysed under this policy. Raises NotEnoughSources."""
    answered = _joined([each for each in analysed if _is_answered(each, policy)])
    responses = judged(answered, policy)
    folds = _folds(responses)
    margins = {mixture: np.zeros(len(responses)) for mixture in MIXTURES}
    for fold in folds:
        left_out = np.array([each.presentation.source in fold for each in responses])
        others = list(compress(responses, ~left_out))
        best = _fit(others, policy)
        for mixture in MIXTURES:
            candidate = _candidate(others, policy, mixture, best, bpcer_at_most)
            found = judged(answered, candidate)
            bound = _bound(list(compress(found, ~left_out)), bpcer_at_most)
            margins[mixture][left_out] = np.array(bounds_reached(found))[left_out] - bound
    trials = tuple(_trial(mixture, margins[mixture], responses) for mixture in MIXTURES)
    least = max(trial.order for trial in trials) - LEAST_GAIN
    chosen = next(trial for trial in trials if trial.order >= least)
    candidate = _candidate(responses, policy, chosen.mixture, _fit(responses, policy), bpcer_at_most)
    proposed, bounded = _with_threshold(judged(answered, candidate), candidate, bpcer_at_most)
    return Proposal(
        policy=proposed,
        bpcer_at_most=bpcer_at_most,
        folds=folds,
        stands=_trial(0.0, np.array(bounds_reached(responses)) - live_bound(policy), responses),
        trials=trials,
        chosen=chosen,
        bounded=bounded,
    )


def _is_answered(each: AnalysedPresentation, policy: Policy) -> bool:
    return isinstance(each.finding, Analysis) and judge(each.finding, policy).confidence is not None


def _joined(analysed: Sequence[AnalysedPresentation]) -> list[AnalysedPresentation]:
    """Presentations whose sources are one, by both names, where they share a picture: a copy of a picture left out
    would be known to the fit."""
    members = {each.presentation.source: {each.presentation.source} for each in analysed}
    holders: dict[str, str] = {}
    for each in analysed:
        source = each.presentation.source
        together = members[holders.setdefault(each.sha256, source) if each.sha256 else source] | members[source]
        members.update(dict.fromkeys(together, together))
    names = {source: "+".join(sorted(together)) for source, together in members.items()}
    return [
        replace(each, presentation=replace(each.presentation, source=names[each.presentation.source]))
        for each in analysed
    ]


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
    responses: Sequence[JudgedPresentation],
    policy: Policy,
    mixture: float,
    best: Floats,
    bpcer_at_most: float,
) -> Policy:
    """Policy with a mixture of its weights and the best ones, and gates and floors that the responses ask for."""
    own = policy.name.removesuffix(UNCALIBRATED)
    name = own if own != policy.name else f"{own.removesuffix('-calibrated')[:52]}-calibrated"
    changes = {**policy.model_dump(), "name": name}
    present = np.array([*policy.weights.model_dump().values()])
    if mixture and not np.allclose(best, present):
        share = 1.0 - policy.pad_networks.weight
        changes["weights"] = rounded((1.0 - mixture) * present + mixture * best, share)
    changes["gates"] |= _gates(responses, policy)
    changes["pad_networks"] |= _floors(responses, policy, bpcer_at_most)
    return Policy.model_validate(changes)


def _gates(responses: Sequence[JudgedPresentation], policy: Policy) -> dict[str, float]:
    """Gates of the signals that weigh, lowered to what costs no bona fide presentation; those of signals without
    weight are about the picture's quality, and stay."""
    weights = policy.weights.model_dump()
    liveness = np.array([_liveness(each) for each in responses])
    found = {}
    for number, name in enumerate(DETECTORS):
        if name in policy.gates and weights[name]:
            bound = cautious_bound(0.0, _by_source(liveness[:, number], responses), 0.0)
            found[name] = min(policy.gates[name], max(_rounded_down(bound), 0.0))
    return found


def _floors(responses: Sequence[JudgedPresentation], policy: Policy, bpcer_at_most: float) -> dict[str, Any]:
    """Floors of the networks, all moved by the same log-odds: the highest that cost BPCER at most, but for the mean no
    higher than even odds, where a network still takes the picture for bona fide."""
    present = policy.pad_networks
    rooms = (room_above_floors(each.verdict.signals, policy) for each in bona_fide_of(responses))
    move = threshold_at(bpcer_at_most, [room for room in rooms if room is not None])
    if not present.weight or move is None:
        return {}
    move = min(move, max(EVEN_ODDS - present.floor, 0.0))
    mean = min(max(_rounded_down(present.floor + move), -MOST_LOG_ODDS), MOST_LOG_ODDS)
    return {"floor": mean, "floors": {name: _rounded_down(single + move) for name, single in present.floors.items()}}


def _rounded_down(log_odds: float) -> float:
    return floor(log_odds * _FLOOR_STEPS) / _FLOOR_STEPS


def _by_source(values: Iterable[float], responses: Sequence[JudgedPresentation]) -> dict[str, list[float]]:
    """Values of the bona fide responses by source."""
    found: dict[str, list[float]] = {}
    for value, each in zip(values, responses, strict=True):
        if each.is_bona_fide:
            found.setdefault(each.presentation.source, []).append(float(value))
    return found


def _bound(responses: Sequence[JudgedPresentation], bpcer_at_most: float) -> float:
    """LIVE bound that the responses ask for, the highest of a policy where none passes."""
    bounds = (
        inf if _held_by_gate(each) else bound for each, bound in zip(responses, bounds_reached(responses), strict=True)
    )
    return min(cautious_bound(bpcer_at_most, _by_source(bounds, responses), HIGHEST_BAND), HIGHEST_BAND)


def _held_by_gate(each: JudgedPresentation) -> bool:
    """Whether a gate or the injection check holds the verdict, which neither floors nor threshold can change."""
    return bool(set(each.verdict.held) - {SUSPECTED, NO_NETWORK})


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
    wanted = _bound(responses, bpcer_at_most)
    band = policy.inconclusive_band
    bound = min(max(wanted, LOWEST_BAND + 2 * band), HIGHEST_BAND)
    parameters = {**policy.parameters.model_dump(), "live_threshold": round(bound - band, 6)}
    genuine = bona_fide_of(responses)
    lost = [each for each in genuine if not _held_by_gate(each) and bounds_reached([each])[0] < bound]
    met = bound == wanted < HIGHEST_BAND and len(lost) <= bpcer_at_most * len(genuine)
    return Policy.model_validate({**policy.model_dump(), "parameters": parameters}), not met
