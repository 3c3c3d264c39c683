"""Figures of an evaluation, as the document that `--json` prints, and that text and HTML show. Pure.

Each rate stands with its 95 % interval (`_interval`) and its counts (`_counts`: errors, presentations).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from config.catalogues.detector_catalogue import KNOWN
from config.policy import Policy
from detectors.contract import ModelVersion, ReadingStatus
from stream.evaluation.judged import (
    JudgedPresentation,
    bona_fide_of,
    bounds_reached,
    by_species,
    classified,
    confidences,
)
from stream.evaluation.operating import FIXED_BPCER, apcer_at, bpcer_at, threshold_at
from stream.evaluation.picture_set import LeftOutFile
from stream.evaluation.rates import ErrorRate, apcer, auc, bpcer, non_response_rate
from stream.pipeline.verdict.aggregation import WeighedSignal, mean_log_odds
from stream.pipeline.verdict.verdict import VerdictKind, live_bound, spoof_bound

#: Worst pictures listed of each label.
MOST_WORST = 10
_DIGITS = 6
#: Row of all networks together, by the mean of their log-odds.
FUSION, FUSION_LABEL = "pad_networks", "Networks together"

Document = dict[str, Any]


def document(
    name: str,
    presentations: Sequence[JudgedPresentation],
    policy: Policy,
    left_out: Iterable[LeftOutFile] = (),
    models: Iterable[ModelVersion] = (),
) -> Document:
    """Document of one policy on one picture set."""
    species = {label: _species(attacks, presentations) for label, attacks in by_species(presentations).items()}
    labels = _signal_labels(presentations)
    return {
        "set": name,
        "version": version("liveness-stream"),
        "models": [asdict(model) for model in models],
        "policy": {
            "name": policy.name,
            "hash": policy.sha256,
            "live_bound": round(live_bound(policy), _DIGITS),
            "spoof_bound": round(spoof_bound(policy), _DIGITS),
        },
        "summary": _summary(presentations, species, policy),
        "species": species,
        "sources": _by_source(presentations),
        "signals": _signals(presentations, labels, policy),
        "verdicts": _verdict_table(presentations),
        "errors": dict(sorted(Counter(str(p.verdict.error) for p in presentations if p.verdict.error).items())),
        "worst": _worst(presentations),
        "left_out": [{"path": each.name, "reason": each.reason} for each in left_out],
        "pictures": [_picture(each, labels) for each in presentations],
    }


def rate_fields(name: str, rate: ErrorRate) -> Document:
    """Fields of a rate under its name: value, interval, counts."""
    value, interval = rate.value, rate.interval
    return {
        name: None if value is None else round(value, _DIGITS),
        f"{name}_interval": None if interval is None else [round(limit, _DIGITS) for limit in interval],
        f"{name}_counts": [rate.count, rate.of],
    }


def _summary(presentations: Sequence[JudgedPresentation], species: Mapping[str, Document], policy: Policy) -> Document:
    bona_fide = bona_fide_of(presentations)
    attacks = [each for each in presentations if not each.is_bona_fide]
    hashes = Counter(each.sha256 for each in presentations)
    published = {name: confidences(group) for name, group in by_species(presentations).items()}
    return {
        "pictures": len(presentations),
        "bona_fide": len(bona_fide),
        "attacks": len(attacks),
        "sources": len({each.presentation.source for each in presentations}),
        "copies": sum(count - 1 for count in hashes.values()),
        **_worst_species(species),
        **rate_fields("bpcer", bpcer(classified(bona_fide))),
        **rate_fields("held", ErrorRate(sum(each.held for each in bona_fide), len(classified(bona_fide)))),
        "apnrr": _highest(species, "apnrr"),
        **rate_fields("bpnrr", non_response_rate(len(classified(bona_fide)), len(bona_fide))),
        "apcer_at_bpcer": [_fixed(cost, bona_fide, by_species(presentations)) for cost in FIXED_BPCER],
        "at_spoof_bound": _at(spoof_bound(policy), confidences(bona_fide), published),
        "confidence_auc": _rounded(auc(confidences(bona_fide), confidences(attacks))),
    }


def _worst_species(species: Mapping[str, Document]) -> Document:
    """APCER of the species with the highest one, which the standard has speak for all."""
    rated = {name: figures for name, figures in species.items() if figures["apcer"] is not None}
    if not rated:
        return {**rate_fields("apcer", ErrorRate(0, 0)), "apcer_species": None}
    worst = max(rated, key=lambda name: (rated[name]["apcer"], rated[name]["apcer_counts"]))
    kept = ("apcer", "apcer_interval", "apcer_counts")
    return {**{field: rated[worst][field] for field in kept}, "apcer_species": worst}


def _highest(species: Mapping[str, Document], rate: str) -> float | None:
    return max((figures[rate] for figures in species.values() if figures[rate] is not None), default=None)


def _species(attacks: Sequence[JudgedPresentation], presentations: Sequence[JudgedPresentation]) -> Document:
    responses, bona_fide = classified(attacks), bona_fide_of(presentations)
    return {
        "pictures": len(attacks),
        "sources": len({each.presentation.source for each in attacks}),
        **rate_fields("apcer", apcer(responses)),
        **rate_fields("apnrr", non_response_rate(len(responses), len(attacks))),
        "apcer_at_bpcer": [_at_fixed(cost, bounds_reached(bona_fide), bounds_reached(attacks)) for cost in FIXED_BPCER],
        "confidence_auc": _rounded(auc(confidences(bona_fide), confidences(attacks))),
    }


def _at_fixed(most: float, genuine: Sequence[float], attacking: Sequence[float]) -> Document:
    threshold = threshold_at(most, genuine)
    rate = ErrorRate(0, 0) if threshold is None else apcer_at(threshold, attacking)
    return {"bpcer_at_most": most, **rate_fields("apcer", rate)}


def _fixed(
    most: float, bona_fide: Sequence[JudgedPresentation], species: Mapping[str, list[JudgedPresentation]]
) -> Document:
    """Error rates at the highest threshold that BPCER allows: BPCER as it is there, and APCER of the worst species."""
    reached = {name: bounds_reached(attacks) for name, attacks in species.items()}
    return {
        "bpcer_at_most": most,
        **_at(threshold_at(most, bounds_reached(bona_fide)), bounds_reached(bona_fide), reached),
    }


def _at(threshold: float | None, bona_fide: Sequence[float], species: Mapping[str, Sequence[float]]) -> Document:
    if threshold is None:
        return {"threshold": None, **_worst_species({}), **rate_fields("bpcer", ErrorRate(0, 0))}
    rates = {name: rate_fields("apcer", apcer_at(threshold, attacks)) for name, attacks in species.items()}
    return {
        "threshold": round(threshold, _DIGITS),
        **_worst_species(rates),
        **rate_fields("bpcer", bpcer_at(threshold, bona_fide)),
    }


def _by_source(presentations: Sequence[JudgedPresentation]) -> dict[str, Document]:
    found: dict[str, list[JudgedPresentation]] = {}
    for each in presentations:
        found.setdefault(each.presentation.source, []).append(each)
    return {name: _source(group) for name, group in sorted(found.items())}


def _source(presentations: Sequence[JudgedPresentation]) -> Document:
    bona_fide, species = bona_fide_of(presentations), by_species(presentations)
    return {
        "pictures": len(presentations),
        "bona_fide": len(bona_fide),
        "attacks": len(presentations) - len(bona_fide),
        "non_responses": sum(each.verdict.confidence is None for each in presentations),
        **rate_fields("bpcer", bpcer(classified(bona_fide))),
        "species": {name: rate_fields("apcer", apcer(classified(attacks))) for name, attacks in species.items()},
    }


def _signal_labels(presentations: Iterable[JudgedPresentation]) -> dict[str, str]:
    """Labels of the signals by name, in the order of the decision. A network stands only in verdicts of pictures whose
    analysis came that far."""
    readings = (signal.reading for each in presentations for signal in each.verdict.signals)
    return {reading.name: reading.label for reading in readings}


def _signals(
    presentations: Sequence[JudgedPresentation], labels: Mapping[str, str], policy: Policy
) -> dict[str, Document]:
    """Signals, each with its AUC over the presentations it scored; then the networks together, where any took part."""
    networks = [name for name in labels if name not in KNOWN]
    share = policy.pad_networks.weight
    weights = {**policy.weights.model_dump(), **{name: share / len(networks) for name in networks}, FUSION: share}
    shown = {**labels, **({FUSION: FUSION_LABEL} if networks else {})}
    return {
        name: {"label": label, "weight": weights.get(name, 0.0), **_signal(name, presentations)}
        for name, label in shown.items()
    }


def _signal(name: str, presentations: Sequence[JudgedPresentation]) -> Document:
    bona_fide = _scored(name, bona_fide_of(presentations))
    species = {label: _scored(name, attacks) for label, attacks in by_species(presentations).items()}
    attacks = [liveness for scored in species.values() for liveness in scored]
    responses = sum(each.verdict.confidence is not None for each in presentations)
    return {
        "auc": _rounded(auc(bona_fide, attacks)),
        "auc_by_species": {label: _rounded(auc(bona_fide, scored)) for label, scored in species.items()},
        "scored": len(bona_fide) + len(attacks),
        "not_scored": responses - len(bona_fide) - len(attacks),
    }


def _scored(name: str, presentations: Iterable[JudgedPresentation]) -> list[float]:
    """Liveness of one signal where it scored."""
    found = (_liveness(name, each.verdict.signals) for each in presentations)
    return [liveness for liveness in found if liveness is not None]


def _liveness(name: str, signals: Sequence[WeighedSignal]) -> float | None:
    """Liveness of a signal; of the fusion, log-odds. None where nothing was scored."""
    if name == FUSION:
        return mean_log_odds(signals)
    readings = [signal.reading for signal in signals if signal.reading.name == name]
    return next((reading.liveness for reading in readings if reading.status is ReadingStatus.SCORED), None)


def _verdict_table(presentations: Sequence[JudgedPresentation]) -> dict[str, dict[str, int]]:
    """Verdicts of bona fide presentations and of each species; `non_response` is INCONCLUSIVE with an error."""
    rows = {"bona_fide": bona_fide_of(presentations)}
    rows |= {f"attack/{name}": attacks for name, attacks in by_species(presentations).items()}
    return {
        name: {
            **{kind.value: classified(row).count(kind) for kind in VerdictKind},
            "non_response": len(row) - len(classified(row)),
        }
        for name, row in rows.items()
    }


def _worst(presentations: Sequence[JudgedPresentation]) -> dict[str, list[Document]]:
    """Attacks that look most live, and bona fide presentations that look least so, among the responses."""
    rising = sorted((each for each in presentations if each.verdict.confidence is not None), key=_confidence)
    bona_fide = [each for each in rising if each.is_bona_fide]
    attacks = [each for each in reversed(rising) if not each.is_bona_fide]
    return {
        "attacks": [_named(p) for p in attacks[:MOST_WORST]],
        "bona_fide": [_named(p) for p in bona_fide[:MOST_WORST]],
    }


def _confidence(each: JudgedPresentation) -> float:
    return each.verdict.confidence or 0.0


def _named(each: JudgedPresentation) -> Document:
    verdict = each.verdict
    return {
        "path": each.presentation.name,
        "species": each.presentation.species or None,
        "verdict": verdict.kind,
        "confidence": verdict.confidence,
        "reasons": list(verdict.reasons),
    }


def _picture(each: JudgedPresentation, signals: Iterable[str]) -> Document:
    verdict, presentation = each.verdict, each.presentation
    return {
        "path": presentation.name,
        "label": presentation.label,
        "species": presentation.species or None,
        "source": presentation.source,
        "verdict": verdict.kind,
        "confidence": verdict.confidence,
        "score": verdict.score,
        "held": each.held,
        "error": verdict.error,
        "signals": {name: _rounded(_liveness(name, verdict.signals)) for name in signals},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
