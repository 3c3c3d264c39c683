"""Flatness of a face that was turned: does the face keep any depth, and do its surroundings stay behind?

Two tests on each frame of a head turn against a neutral frame, both independent of the yaw that the mesh reports, since
the mesh sees depth in a flat picture too:

- *flat surface*: the landmarks of two views of one plane are a homography apart (W. Bao et al., "A liveness detection
  method for face recognition based on optical flow field", IASP 2009; M. De Marsico et al., "Moving face spoofing
  detection via 3D projective invariants", ICB 2012). What the best homography leaves is compared with how much the
  homography foreshortens: a head turned by 20 degrees leaves a third of the square root of its foreshortening.
- *background moves with the face*: features beside the face give a motion of the scene, which is carried on into the
  face. The landmarks of a picture, flat or bent, go with that motion; a head turns before its scene (K. Kollreider et
  al., "Evaluating liveness by face images and the structure tensor", AutoID 2005, from the difference of motions).
  Only a scene that foreshortens counts, as no camera does that which only trembles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from config.catalogues.challenges import NEUTRAL
from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.homography import Points, apart, homography, moved, spread
from detectors.active.scene_motion import matched, motion_of
from detectors.active.shape import eyes_apart, shape_of
from detectors.contract_measures import FrameMeasures

_TURNS = ("head_left", "head_right")
#: Step of a numeric derivative, in frame's sides.
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Flatness:
    """Flatness of a capture: `depth` is what a homography of the face leaves over the root of its foreshortening, of
    the most foreshortened frame; `behind` the median distance by which landmarks leave the scene's motion, in distances
    of the eyes. None where no frame of a turn could be judged."""

    depth: float | None
    behind: float | None
    reasons: frozenset[str]


def flatness_of(frames: Sequence[AssessedFrame], settings: ActivePolicy) -> Flatness:
    """Flatness over the frames of head turns. Pure; called by the assessment."""
    neutral = next((each.measures for each in frames if each.challenge == NEUTRAL and each.measures), None)
    turned = [each.measures for each in frames if each.challenge in _TURNS and each.measures is not None]
    if neutral is None or not turned:
        return Flatness(None, None, frozenset())
    depth = _depth(neutral, turned, settings)
    behind = _behind(neutral, turned, settings)
    found = {
        "flat_surface": depth is not None and depth < settings.least_depth,
        "background_moves_with_face": behind is not None and behind < settings.least_behind,
    }
    return Flatness(depth, behind, frozenset(code for code, is_found in found.items() if is_found))


def _depth(neutral: FrameMeasures, turned: Sequence[FrameMeasures], settings: ActivePolicy) -> float | None:
    rest, found = shape_of(neutral), []
    for each in turned:
        shape = shape_of(each)
        try:
            plane = homography(rest, shape)
        except (ValueError, np.linalg.LinAlgError):  # landmarks in one place
            continue
        left = apart(moved(plane, rest), shape) / spread(shape)
        found.append((foreshortening(partial(moved, plane), rest), left))
    if not found or max(found)[0] < settings.least_foreshortening:
        return None
    most, left = max(found)
    return float(left / np.sqrt(most))


def _behind(neutral: FrameMeasures, turned: Sequence[FrameMeasures], settings: ActivePolicy) -> float | None:
    rest, left, most = shape_of(neutral), [], 0.0
    for each in turned:
        motion = motion_of(*matched(neutral.scene, each.scene))
        if motion is not None:
            left.append(apart(motion(rest), shape_of(each)) / eyes_apart(rest))
            most = max(most, foreshortening(motion, rest))
    return float(np.median(left)) if most >= settings.least_foreshortening else None


def foreshortening(motion: Callable[[Points], Points], around: Points) -> float:
    """How much more a motion stretches one direction than the other at the middle of points (n, 2): 0 for a shift, a
    rotation or a scale."""
    middle = around.mean(axis=0)
    steps = np.array([[_STEP, 0], [-_STEP, 0], [0, _STEP], [0, -_STEP]])
    right, left, down, up = motion(middle + steps)
    longer, shorter = np.linalg.svd(np.stack([right - left, down - up], axis=1))[1]
    return float(longer / max(shorter, 1e-9) - 1)
