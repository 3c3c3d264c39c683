"""Advice: what the person should do next, in words, for each reason a picture did not pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """`code` is for programs, `message` for the person: it asks for an action and blames nobody."""

    code: str
    message: str


#: The most a person can be asked to change at once.
MOST_ADVICE = 3

RETAKE = Advice("retake", "Please take a new photo with the camera, in even light, at arm's length.")

_BY_REASON: dict[str, Advice] = {}


def advice_for(reasons: Iterable[str]) -> tuple[Advice, ...]:
    """Advice for the strongest reasons first, each once; a plain retake when none of them has its own."""
    found = dict.fromkeys(_BY_REASON[reason] for reason in reasons if reason in _BY_REASON)
    return tuple(found)[:MOST_ADVICE] or (RETAKE,)
