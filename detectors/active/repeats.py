"""Frames that are no capture of one person in time: out of order, frozen, repeated, or of different faces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median

import numpy as np

from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.homography import Points, apart, spread
from detectors.active.rigid import misfit
from detectors.active.shape import shape_of
from detectors.contract_measures import FrameMeasures


def continuity_reasons(frames: Sequence[AssessedFrame], settings: ActivePolicy) -> set[str]:
    """Reason codes of frames that follow each other. Pure; called by the assessment."""
    found = set()
    times = [each.at_ms for each in frames if each.at_ms is not None]
    if any(later <= earlier for earlier, later in pairwise(times)):
        found.add("frames_not_in_time_order")
    distances = [each.face_distance for each in frames if each.face_distance is not None]
    if any(not distance <= settings.most_face_distance for distance in distances):
        found.add("different_face_between_frames")
    return found | _repeats(frames, settings)


def _repeats(frames: Sequence[AssessedFrame], settings: ActivePolicy) -> set[str]:
    """`frozen_frames` where most frames are one picture, else `repeated_frames` where any two are."""
    shapes = {index: shape_of(each.measures) for index, each in enumerate(frames) if each.measures is not None}
    motions = {(i, j): motion_within(shapes[i], shapes[j]) for i, j in combinations(shapes, 2)}
    if motions and median(motions.values()) < settings.frozen_motion:
        return {"frozen_frames"}
    seen = [each.pixels for each in frames if each.pixels is not None]
    again = len(set(seen)) < len(seen)
    still = [pair for pair, motion in motions.items() if motion < settings.still_motion]
    again |= any(_is_copy(frames[i].measures, frames[j].measures, settings) for i, j in still)
    return {"repeated_frames"} if again else set()


def _is_copy(first: FrameMeasures | None, second: FrameMeasures | None, settings: ActivePolicy) -> bool:
    """Whether two frames with hardly any motion within the face are one picture, moved as a whole."""
    if first is None or second is None:
        return False
    left = misfit(first, second)
    return left is not None and left < settings.copied_misfit


def motion_within(first: Points, second: Points) -> float:
    """Root mean square motion of landmarks (n, 2) that no shift, rotation and scale explains, as a share of the face's
    spread."""
    one, other = (points - points.mean(axis=0) for points in (first, second))
    one, other = one[:, 0] + 1j * one[:, 1], other[:, 0] + 1j * other[:, 1]
    size = np.vdot(one, one)
    turned = one * (np.vdot(one, other) / size) if abs(size) > 0 else one
    left, right = (np.stack([each.real, each.imag], axis=1) for each in (turned, other))
    return apart(left, right) / spread(right)
