"""The assessment of active liveness: frames of one capture in, score, completed challenges and reasons out. Pure.

The score is that of the published table: pose variation and expression variation, half each, 0 to 100. Each is the
mean over its movements that the session asked for: a movement that just reaches its threshold counts 75, the default
threshold of a pass, and one twice as large 100. Where a session asks for head turns only, or for expressions only, the
part that was asked for counts alone. A light challenge can only lower the score: the lesser of both counts. A frame
that was not measured lowers the score by its share of the frames. Beside a reason the score is at most what the
reason's kind allows (`ActiveReason.most`), so nothing missing can raise a score.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.catalogues.challenges import FEWEST_FRAMES, LIGHT, Challenge, Colour
from config.limits.active import ActivePolicy
from detectors.active.assessed import ActiveAssessment, AssessedFrame
from detectors.active.flatness import flatness_of
from detectors.active.light_following import LightFollowing, light_following
from detectors.active.movements import Movements, movements_in
from detectors.active.reasons import REASONS, in_order
from detectors.active.repeats import continuity_reasons

#: Score of a movement that just reaches its threshold: the default threshold of a pass.
_JUST_MOVED = 75.0
_TURNS: tuple[Challenge, ...] = ("head_left", "head_right")
_EXPRESSIONS: tuple[Challenge, ...] = ("smile", "blink")


def assess(
    frames: Sequence[AssessedFrame],
    challenges: tuple[Challenge, ...],
    colours: tuple[Colour, ...],
    colour_ms: int,
    settings: ActivePolicy,
) -> ActiveAssessment:
    """The assessment of a capture, in the order in which the frames were sent.

    `challenges` and `colours` are what the session asked for, in its order. Called once a submission by the verdict;
    raises nothing for what frames hold, and gives the same answer for the same arguments.
    """
    movements = movements_in(frames, challenges, settings)
    flatness = flatness_of(frames, settings)
    light = light_following(frames, colours, colour_ms, settings) if colours else None
    found = movements.reasons | flatness.reasons | (light.reasons if light else set())
    found = found | continuity_reasons(frames, settings) | _missing(frames, settings)
    if set(_TURNS) & set(movements.completed) and flatness.depth is None:
        found = found | {"too_few_measures"}
    pose, expression = (_variation(movements, kind) for kind in (_TURNS, _EXPRESSIONS))
    reasons = in_order(set(found))
    return ActiveAssessment(
        score=int(_measured(frames) * _score(pose, expression, _of_light(light, settings), reasons)),
        pose_variation_score=_rounded(pose),
        expression_variation_score=_rounded(expression),
        challenges_completed=movements.completed,
        reasons=reasons,
    )


def _variation(movements: Movements, kind: tuple[Challenge, ...]) -> float | None:
    """Mean over the movements of one kind that were asked for, 0 to 100; None if none was."""
    scores = [_of_movement(amount) for name, amount in movements.amounts.items() if name in kind]
    return sum(scores) / len(scores) if scores else None


def _of_movement(amount: float) -> float:
    """Score of a movement in enter thresholds: 75 at one, 100 from two on, in proportion below and between."""
    return _JUST_MOVED * amount if amount < 1 else min(100.0, _JUST_MOVED + (100 - _JUST_MOVED) * (amount - 1))


def _of_light(light: LightFollowing | None, settings: ActivePolicy) -> float | None:
    """Score of the light: 75 at the least correlation, 100 at 1, in proportion below and between; None if not asked."""
    if light is None:
        return None
    least, found = settings.least_correlation, max(0.0, light.correlation)
    if found < least:
        return _JUST_MOVED * found / least
    return min(100.0, _JUST_MOVED + (100 - _JUST_MOVED) * (found - least) / (1 - least))


def _score(pose: float | None, expression: float | None, light: float | None, reasons: tuple[str, ...]) -> float:
    """The score of what was asked for, 0 where nothing was, and at most what the reasons allow."""
    varied = [each for each in (pose, expression) if each is not None]
    parts = [sum(varied) / len(varied)] if varied else []
    parts += [] if light is None else [light]
    return min([*parts, *(float(REASONS[code].most) for code in reasons)]) if parts else 0.0


def _measured(frames: Sequence[AssessedFrame]) -> float:
    """Share of the frames that were measured."""
    return sum(each.measures is not None for each in frames) / max(1, len(frames))


def _rounded(score: float | None) -> int | None:
    return None if score is None else int(score)


def _missing(frames: Sequence[AssessedFrame], settings: ActivePolicy) -> set[str]:
    """Reasons of what is not there: faces, measures, comparisons of faces, frames, times of the light challenge."""
    found = set()
    if _measured(frames) < settings.least_measured:
        found.add("frame_without_face")
    compared = sum(each.face_distance is not None for each in frames)
    untimed = any(each.at_ms is None for each in frames if each.challenge == LIGHT)
    enough = settings.least_measured * len(frames)
    if len(frames) < FEWEST_FRAMES or untimed or compared < enough:
        found.add("too_few_measures")
    return found
