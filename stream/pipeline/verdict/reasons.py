"""Reasons: why the confidence is not higher, in the order in which a person can mend the causes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream.pipeline.verdict.aggregation import WeighedSignal

_OF_TEXTURE = frozenset(("flat_texture", "periodic_spectrum", "attack_suspected"))
#: Cause -> the reasons that follow from it: a blurred or badly lit face has little texture, and networks that look at
#: texture take it for a print. Which of the two it is can't be told until the picture is taken again.
EXPLAINS: Mapping[str, frozenset[str]] = {
    "blurry": _OF_TEXTURE,
    "too_dark": _OF_TEXTURE,
    "too_bright": _OF_TEXTURE,
    "backlit": _OF_TEXTURE,
    "glare": _OF_TEXTURE,
    "uneven_light": _OF_TEXTURE,
}


def in_order(signals: Sequence[WeighedSignal], held: Sequence[str], notes: Sequence[str]) -> tuple[str, ...]:
    """Reasons that held the verdict back, then those that lowered the confidence, costliest first, then the notes,
    which moved no score; each once. A cause goes before the reasons that it explains."""
    failed = sorted((s for s in signals if s.weight and not s.passed), key=lambda s: s.shortfall, reverse=True)
    found = list(dict.fromkeys([*held, *(signal.failure for signal in failed), *notes]))
    causes = [reason for reason in found if EXPLAINS.get(reason, frozenset()).intersection(found)]
    explained = frozenset[str]().union(*(EXPLAINS[cause] for cause in causes))
    first = next((place for place, reason in enumerate(found) if reason in explained), len(found))
    ahead = [reason for reason in causes if found.index(reason) > first]
    rest = [reason for reason in found if reason not in ahead]
    return (*rest[:first], *ahead, *rest[first:])


def species_of(reasons: Sequence[str]) -> str:
    """Kind of attack by the signals: the first reason that is not a cause in the picture's quality; empty for none."""
    return next((reason for reason in reasons if reason not in EXPLAINS), reasons[0] if reasons else "")


def helpful(reasons: Sequence[str]) -> tuple[str, ...]:
    """Reasons to give advice on: without those that another one explains."""
    explained = frozenset[str]().union(*(EXPLAINS.get(reason, frozenset()) for reason in reasons))
    return tuple(reason for reason in reasons if reason not in explained)
