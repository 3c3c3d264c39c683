"""Movements against the face at rest: thresholds, hysteresis, order."""

from __future__ import annotations

import pytest

from config.limits.active import ActivePolicy, TurnLimits
from detectors.active.assessed import AssessedFrame
from detectors.active.movements import Movements, movements_in
from tests.unit.detectors.active.heads import DONE, capture, frame

SETTINGS = ActivePolicy(turn=TurnLimits(enter=10, leave=6))


def movements(frames: list[AssessedFrame], *asked: str) -> Movements:
    return movements_in(frames, asked, SETTINGS)


def course(*yaws: float) -> list[AssessedFrame]:
    """A head turned to the left over frames of which the second and third are asked for it."""
    labels = ("neutral", "head_left", "head_left", "smile", "smile")
    done = (dict(DONE[label], yaw=yaw) for label, yaw in zip(labels, yaws, strict=True))
    return [
        frame(label, number, "neutral", **told) for number, (label, told) in enumerate(zip(labels, done, strict=True))
    ]


@pytest.mark.parametrize("name", ["head_left", "head_right", "smile", "blink"])
@pytest.mark.parametrize(("done", "seen"), [("", True), ("neutral", False)])
def test_each_movement_is_seen_when_made(name, done, seen):
    frames = [frame("neutral", 0), frame("neutral", 1), frame(name, 2, done), frame(name, 3, done)]
    found = movements(frames, name)
    assert found.completed == ((name,) if seen else ())
    assert ("challenge_missing" in found.reasons) is not seen


@pytest.mark.parametrize(("yaw", "done"), [(9.9, False), (10.0, True), (-10.0, False)])
def test_a_turn_has_a_side_and_a_threshold(yaw, done):
    assert bool(movements(course(0, 0, yaw, 0, 0), "head_left").completed) is done


def test_rest_is_the_persons_own():
    """A person who always looks a little aside and has narrow eyes turns and blinks from there."""
    frames = [frame("neutral", 0, yaw=8.0, eye_left=0.16, eye_right=0.16)]
    aside = frame("head_left", 1, "neutral", yaw=14.0, eye_left=0.16, eye_right=0.16)
    blinking = frame("blink", 2, "neutral", yaw=8.0, eye_left=0.1, eye_right=0.1)
    assert movements([*frames, aside, blinking], "head_left", "blink").completed == ("blink",)


@pytest.mark.parametrize(
    ("yaws", "wrong"),
    [
        ((0, 0, 15, 7, 0), False),  # a slow way back
        ((0, 0, 15, 5, 7), True),  # over, and begun again
        ((0, 0, 15, 5, 5), False),
        ((0, 15, 15, 15, 15), False),
    ],
)
def test_a_movement_is_over_below_the_lower_threshold(yaws, wrong):
    assert ("wrong_challenge_order" in movements(course(*yaws), "head_left", "smile").reasons) is wrong


@pytest.mark.parametrize(
    ("labels", "done", "wrong"),
    [
        (("head_left", "smile"), ("head_left", "smile"), False),
        (("smile", "head_left"), ("smile", "head_left"), True),  # as labelled, but not as asked
        (("head_left", "smile"), ("smile", "head_left"), True),
        (("head_left", "smile"), ("head_right", "smile"), True),
        (("head_left", "neutral"), ("head_left", "smile"), True),
        (("head_left", "neutral"), ("head_left", "blink"), False),  # people blink
        (("head_left", "smile"), ("head_left", "blink"), False),
        (("head_left", "head_right"), ("head_left", "head_right"), True),  # not asked for
        (("head_left", "smile", "head_left"), ("head_left", "smile", "head_left"), True),
    ],
)
def test_movements_keep_to_the_sessions_order(labels, done, wrong):
    acts = [frame(label, 2 + number, act) for number, (label, act) in enumerate(zip(labels, done, strict=True))]
    found = movements([frame("neutral", 0), frame("neutral", 1), *acts], "head_left", "smile")
    assert ("wrong_challenge_order" in found.reasons) is wrong


def test_nothing_is_judged_without_rest():
    found = movements(capture("smile")[2:], "smile")
    assert (found.completed, found.reasons) == ((), {"no_neutral_frame", "challenge_missing"})
