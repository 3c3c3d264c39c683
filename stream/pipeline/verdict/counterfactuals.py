"""Counterfactuals: the smallest change by which a verdict would have been another one. Pure.

A verdict that is not LIVE is changed to LIVE, a LIVE one away from LIVE. Every change that is told was applied to the
signals and judged again: nothing is told that would not have helped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from config.policy import Policy
from detectors.contract import ReadingStatus
from stream.pipeline.verdict.aggregation import CONFIDENCE_DIGITS, WeighedSignal
from stream.pipeline.verdict.injection import SWITCHED_OFF, LivenessFlag
from stream.pipeline.verdict.verdict import Verdict, VerdictKind, face_value, kind_for, with_injection

#: Readings are changed in steps of a fiftieth.
STEPS = 50
#: Parts tried alone: those that hold the verdict, then those that can move the confidence most. A decision costs about
#: a millisecond with three.
TRIED_ALONE = 3
NETWORKS, INJECTION = "pad_networks", "injection"
_NAMES = {NETWORKS: "the presentation-attack networks"}

#: Signals by the name under which they change together: each by its own, the networks as one.
Groups = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change of one part of a verdict: liveness `before` and the nearest one that counts, both in [0, 1]."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """Changes that, made together, turn the verdict to `verdict`, in words as well."""

    verdict: VerdictKind
    changes: tuple[Change, ...]
    message: str


def counterfactual(verdict: Verdict, policy: Policy) -> Counterfactual | None:
    """The nearest other verdict; None without a result, for an active check, whose score follows from movements, for a
    verdict that a detector group holds, and where no value of what was measured gives another one."""
    if verdict.error is not None or verdict.confidence is None:
        return None
    if verdict.active is not None or verdict.by_groups:
        return None
    groups = _groups(verdict.signals, policy)
    changes = _towards(verdict, groups, policy, wanted=verdict.kind is not VerdictKind.LIVE)
    if not changes:
        return None
    kind = _kind_with(verdict, changes, groups, policy)
    return Counterfactual(verdict=kind, changes=changes, message=_words(verdict, changes, kind))


def _towards(verdict: Verdict, groups: Groups, policy: Policy, *, wanted: bool) -> tuple[Change, ...]:
    """Few changes that give LIVE, or for `wanted` False another verdict: an injection first, then one part alone, then
    parts together, those that can move the confidence most before the others."""
    fixed: tuple[Change, ...] = ()
    if wanted and verdict.injection.flag is not LivenessFlag.LIVE:
        fixed = (Change(name=INJECTION, before=verdict.injection.score, after=1.0),)
        if _is_live(verdict, fixed, groups, policy):
            return fixed
    ordered = sorted(groups, key=lambda name: _rank(verdict, groups[name], wanted=wanted))
    alone = {name: groups[name] for name in ordered[:TRIED_ALONE]}
    if nearest := _nearest(verdict, alone, policy, wanted=wanted, fixed=fixed):
        return fixed + nearest
    for name in ordered:
        fixed += (Change(name=name, before=_liveness(verdict.signals, groups[name]), after=float(wanted)),)
        if _is_live(verdict, fixed, groups, policy) is wanted:
            return _relaxed(verdict, fixed, groups, policy, wanted=wanted)
    return ()


def _nearest(
    verdict: Verdict, groups: Groups, policy: Policy, *, wanted: bool, fixed: tuple[Change, ...] = ()
) -> tuple[Change, ...]:
    """The one part with the smallest change that makes the verdict LIVE, or for `wanted` False not LIVE."""

    def reaches(change: Change) -> bool:
        return _is_live(verdict, (*fixed, change), groups, policy) is wanted

    found = []
    for name, places in groups.items():
        change = _least(name, _liveness(verdict.signals, places), float(wanted), reaches)
        if change is not None:
            found.append(change)
    return tuple(sorted(found, key=lambda change: abs(change.after - change.before))[:1])


def _relaxed(
    verdict: Verdict, changes: tuple[Change, ...], groups: Groups, policy: Policy, *, wanted: bool
) -> tuple[Change, ...]:
    """Changes that together give what is wanted, each taken back as far as the others allow."""
    kept = tuple(change for change in changes if change.name == INJECTION)
    ahead = [change for change in changes if change.name != INJECTION]
    while ahead:
        change = ahead.pop(0)
        others = (*kept, *ahead)

        def reaches(tried: Change, others: tuple[Change, ...] = others) -> bool:
            return _is_live(verdict, (*others, tried), groups, policy) is wanted

        kept += (_least(change.name, change.before, change.after, reaches) or change,)
    return kept


def _least(name: str, before: float, end: float, reaches: Callable[[Change], bool]) -> Change | None:
    """The change of one part that is nearest to `before` and reaches what is wanted, on the way to `end`; None if `end`
    does not. More liveness never makes a verdict less live, so that halving finds the place."""
    steps = math.floor(abs(end - before) * STEPS)

    def at(step: int) -> Change:
        after = end + (1 if end < before else -1) * step / STEPS
        return Change(name=name, before=before, after=round(after, 2))

    if not steps or not reaches(at(0)):
        return None
    low, high = 0, steps
    while low < high:
        middle = (low + high + 1) // 2
        if reaches(at(middle)):
            low = middle
        else:
            high = middle - 1
    return at(low)


def _groups(signals: Sequence[WeighedSignal], policy: Policy) -> Groups:
    """Parts that move the verdict: signals with a weight or a gate, and the networks that answered."""
    names = [signal.reading.name for signal in signals]
    groups = {
        name: (place,)
        for place, name in enumerate(names)
        if (signals[place].weight or name in policy.gates) and not signals[place].of_network
    }
    networks = [place for place, each in enumerate(signals) if each.log_odds is not None]
    return {**groups, NETWORKS: tuple(networks)} if networks else groups


def _is_live(verdict: Verdict, changes: Sequence[Change], groups: Groups, policy: Policy) -> bool:
    return _kind_with(verdict, changes, groups, policy) is VerdictKind.LIVE


def _kind_with(verdict: Verdict, changes: Sequence[Change], groups: Groups, policy: Policy) -> VerdictKind:
    """Verdict after the changes, by the same steps as the verdict itself."""
    signals, injection = list(verdict.signals), verdict.injection
    for change in changes:
        if change.name == INJECTION:
            injection = SWITCHED_OFF
            continue
        for place in groups[change.name]:
            signals[place] = _with_liveness(signals[place], change.after)
    return kind_for(with_injection(face_value(signals, policy), injection, policy), policy)


def _with_liveness(signal: WeighedSignal, liveness: float) -> WeighedSignal:
    reading = replace(signal.reading, status=ReadingStatus.SCORED, liveness=liveness)
    return WeighedSignal(reading=reading, weight=signal.weight)


def _liveness(signals: Sequence[WeighedSignal], places: Sequence[int]) -> float:
    """Liveness shown for a part: of the networks the mean."""
    return round(sum(signals[place].score for place in places) / len(places), CONFIDENCE_DIGITS)


def _rank(verdict: Verdict, places: Sequence[int], *, wanted: bool) -> tuple[bool, float]:
    """Order of a part: what holds the verdict first, then by the confidence that the part can still gain, or lose."""
    signals = [verdict.signals[place] for place in places]
    holds = wanted and any(signal.failure in verdict.held for signal in signals)
    gains = sum(signal.shortfall for signal in signals)
    return not holds, -gains if wanted else gains - sum(signal.weight for signal in signals)


def _words(verdict: Verdict, changes: Sequence[Change], kind: VerdictKind) -> str:
    labels = {signal.reading.name: signal.reading.label for signal in verdict.signals}
    conditions = []
    for change in changes:
        if change.name == INJECTION:
            conditions.append("no indication of an injection attack")
            continue
        label = _NAMES.get(change.name) or f'"{labels[change.name]}"'
        most = "at least" if kind is VerdictKind.LIVE else "at most"
        conditions.append(f"{label} {most} {change.after:.2f} instead of {change.before:.3g}")
    return f"With {' and '.join(conditions)}, the verdict would have been {kind}."
