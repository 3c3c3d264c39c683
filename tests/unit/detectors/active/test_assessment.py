"""The assessment: score, completed challenges and reasons of whole captures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.catalogues.challenges import CHALLENGES
from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.assessment import assess
from detectors.active.reasons import REASONS, ReasonKind
from tests.unit.detectors.active.heads import PAPER, PRINT, capture, frame, lit_frames

ALL = ("head_left", "smile", "head_right", "blink")
SIX = ("red", "green", "blue", "white", "cyan", "yellow")
SETTINGS = ActivePolicy()


def assessed(frames: list[AssessedFrame], asked: tuple[str, ...] = ALL, colours: tuple[str, ...] = ()):
    return assess(frames, asked, colours, 300, SETTINGS)


def test_a_person_who_does_what_is_asked():
    found = assessed(capture(*ALL))
    assert (found.reasons, found.challenges_completed) == ((), ALL)
    assert found.score >= 90
    assert found.score == (found.pose_variation_score + found.expression_variation_score) // 2


@pytest.mark.parametrize(
    ("asked", "pose", "expression"), [(("head_left",), True, False), (("smile", "blink"), False, True)]
)
def test_only_what_was_asked_counts(asked, pose, expression):
    frames = capture(*asked) + [frame("neutral", number) for number in range(30, 34)]
    found = assessed(frames, asked)
    assert (found.pose_variation_score is not None, found.expression_variation_score is not None) == (pose, expression)
    assert found.score == (found.pose_variation_score or found.expression_variation_score) >= 75


def without(frames: list[AssessedFrame], **gone: None) -> list[AssessedFrame]:
    return [replace(each, **gone) for each in frames]


@pytest.mark.parametrize(
    ("frames", "reason", "most"),
    [
        (capture("head_left", "smile", "blink", "head_right"), "wrong_challenge_order", 49),
        (capture(*ALL, face=PRINT, scene=PAPER), "flat_surface", 49),
        (capture(*ALL, face=PRINT, scene=PAPER), "background_moves_with_face", 49),
        ([replace(each, face_distance=1.3 * (each.challenge == "smile")) for each in capture(*ALL)],
         "different_face_between_frames", 49),
        ([replace(each, at_ms=5) for each in capture(*ALL)], "frames_not_in_time_order", 49),
        (capture(*ALL)[:2] * 5, "repeated_frames", 49),
        ([replace(capture(*ALL)[0], challenge=each.challenge) for each in capture(*ALL)], "frozen_frames", 49),
        (capture(*ALL)[2:], "no_neutral_frame", 74),
        (capture("head_left", "smile", "head_right") + capture()[:2], "challenge_missing", 74),
        (without(capture(*ALL), face_distance=None), "too_few_measures", 74),
        (capture(*ALL)[:7], "too_few_measures", 74),
        (without(capture(*ALL)[:4], measures=None) + capture(*ALL)[4:], "frame_without_face", 74),
        (without(capture(*ALL), measures=None), "frame_without_face", 0),
        ([], "no_neutral_frame", 0),
    ],
)  # fmt: skip
def test_each_reason_holds_the_score_down(frames, reason, most):
    found = assessed(frames)
    assert reason in found.reasons
    assert found.score <= most


def test_missing_measures_never_raise_a_score():
    whole = capture(*ALL)
    before = assessed(whole).score
    for index, each in enumerate(whole):
        frames = [*whole[:index], replace(each, measures=None, face_distance=None), *whole[index + 1 :]]
        assert assessed(frames).score < before


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ({}, ()),
        ({"front": 0.0, "side": 0.0, "behind": 0.0}, ("light_not_followed",)),
        ({"late": 0.5}, ("light_too_late",)),
        ({"late": 1.0}, ("light_too_late",)),
        ({"side": 0.24}, ("light_pattern_flat",)),
        ({"side": 0.25, "behind": 0.25}, ("light_pattern_flat",)),
    ],
)
def test_light_is_a_further_hurdle(options, reasons):
    frames = capture("head_left") + lit_frames(SIX, **options)
    found = assessed(frames, ("head_left",), SIX)
    assert found.reasons == reasons
    assert 75 <= found.score <= found.pose_variation_score if not reasons else found.score < 50


def test_too_bright_surroundings_spend_no_attempt():
    frames = capture("head_left") + lit_frames(SIX, front=0.0, side=0.0, behind=0.0)
    bright = [replace(each, measures=overexposed(each)) if each.challenge == "light" else each for each in frames]
    found = assessed(bright, ("head_left",), SIX)
    assert found.reasons == ("ambient_light_too_strong",)
    assert (found.environment_not_supported, found.score < 75) == (True, True)
    attacked = assessed([replace(each, at_ms=5) for each in bright], ("head_left",), SIX)
    assert not attacked.environment_not_supported


def overexposed(each: AssessedFrame):
    return replace(each.measures, light=tuple(replace(region, clipped=0.5) for region in each.measures.light))


def test_every_reason_has_words_and_a_bound():
    assert {each.most for each in REASONS.values() if each.kind is ReasonKind.ATTACK} == {49}
    assert {each.most for each in REASONS.values() if each.kind is not ReasonKind.ATTACK} == {74}
    assert all(each.words for each in REASONS.values())
    assert set(ALL) == set(CHALLENGES)
