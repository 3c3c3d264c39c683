"""Movements of a capture: head turns, smile and blink, each against the person's own face at rest.

A movement begins where its measure reaches the enter threshold and ends where the measure falls below the leave
threshold (hysteresis, as a Schmitt trigger), so that a measure that trembles at one threshold is one movement. Every
movement must begin in a frame that was asked for it. Blinks may begin anywhere: people blink a dozen times a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from config.catalogues.challenges import CHALLENGES, NEUTRAL, Challenge
from config.limits.active import ActivePolicy, MovementLimits
from detectors.active.assessed import AssessedFrame
from detectors.contract_measures import FrameMeasures

#: Turns are counted against the order even where none was asked for; a smile only where one was.
_TURNS: tuple[Challenge, ...] = ("head_left", "head_right")


@dataclass(frozen=True, slots=True)
class Rest:
    """The face at rest: medians over the neutral frames."""

    yaw: float
    eyes: float
    mouth: float


@dataclass(frozen=True, slots=True)
class Movements:
    """Movements found: the largest amount of each one asked for in its own frames, in enter thresholds (1 is just a
    movement), those completed in the session's order, and reason codes."""

    amounts: dict[Challenge, float]
    completed: tuple[Challenge, ...]
    reasons: frozenset[str]


def movements_in(frames: Sequence[AssessedFrame], asked: tuple[Challenge, ...], settings: ActivePolicy) -> Movements:
    """Movements of frames in their order. Pure; called by the assessment."""
    at_rest = rest_of(frames)
    if at_rest is None:
        reasons = {"no_neutral_frame"} | ({"challenge_missing"} if asked else set())
        return Movements(dict.fromkeys(asked, 0.0), (), frozenset(reasons))
    courses = {name: [_amount(name, each, at_rest, settings) for each in frames] for name in CHALLENGES}
    own = {
        name: [amount for frame, amount in zip(frames, courses[name], strict=True) if frame.challenge == name]
        for name in asked
    }
    amounts = {name: max((0.0, *own[name])) for name in asked}
    completed = tuple(name for name in asked if amounts[name] >= 1)
    wrong = [_asked_in_order(frames, asked)]
    wrong += [_begins_elsewhere(name, frames, courses[name], settings) for name in {*_TURNS, *asked} - {"blink"}]
    reasons = {"challenge_missing"} if len(completed) < len(asked) else set()
    return Movements(amounts, completed, frozenset(reasons | ({"wrong_challenge_order"} if any(wrong) else set())))


def rest_of(frames: Sequence[AssessedFrame]) -> Rest | None:
    """The face at rest; None without a measured neutral frame."""
    neutral = [each.measures for each in frames if each.challenge == NEUTRAL and each.measures is not None]
    if not neutral:
        return None
    return Rest(
        median(each.yaw for each in neutral),
        max(median(map(_eyes, neutral)), 1e-3),
        median(map(_mouth, neutral)),
    )


def limits_of(name: Challenge, settings: ActivePolicy) -> MovementLimits:
    """Thresholds of a movement: degrees for a turn, distances of the eyes for a smile, share of closing for a blink."""
    return {"smile": settings.smile, "blink": settings.blink}.get(name, settings.turn)


def _amount(name: Challenge, frame: AssessedFrame, rest: Rest, settings: ActivePolicy) -> float:
    """Measure of a movement in enter thresholds; 0 where nothing was measured."""
    if frame.measures is None:
        return 0.0
    return _measure(name, frame.measures, rest) / limits_of(name, settings).enter


def _measure(name: Challenge, measures: FrameMeasures, rest: Rest) -> float:
    match name:
        case "head_left":  # the person's own left is the picture's right
            return measures.yaw - rest.yaw
        case "head_right":
            return rest.yaw - measures.yaw
        case "smile":
            return _mouth(measures) - rest.mouth
        case "blink":
            return 1 - _eyes(measures) / rest.eyes


def _eyes(measures: FrameMeasures) -> float:
    return (measures.eye_right + measures.eye_left) / 2


def _mouth(measures: FrameMeasures) -> float:
    """Width of the mouth and height of its corners together: a smile moves both."""
    return measures.mouth_width + measures.corner_lift


def _asked_in_order(frames: Sequence[AssessedFrame], asked: tuple[Challenge, ...]) -> bool:
    """Whether the frames answer challenges in another order than the session's."""
    runs = [frame.challenge for frame in frames if frame.challenge in CHALLENGES]
    begun = [name for place, name in enumerate(runs) if place == 0 or runs[place - 1] != name]
    return tuple(begun) != tuple(name for name in asked if name in begun)


def _begins_elsewhere(
    name: Challenge, frames: Sequence[AssessedFrame], course: Sequence[float], settings: ActivePolicy
) -> bool:
    """Whether a movement begins in a frame that was not asked for it.

    Half a turn counts, and half a smile in a neutral frame: a turn of the head changes the mouth's measure, but nothing
    that was asked for turns the head.
    """
    limits = limits_of(name, settings)
    leave = limits.leave / limits.enter
    moving = False
    for frame, amount in zip(frames, course, strict=True):
        enough = leave if name in _TURNS or frame.challenge == NEUTRAL else 1.0
        if not moving and amount >= enough and frame.challenge != name:
            return True
        moving = amount >= (leave if moving else 1.0)
    return False
