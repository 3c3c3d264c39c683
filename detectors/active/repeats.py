"""Frames that are no capture of one person in time: out of order, frozen, repeated, or of different faces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median

import numpy as np

from config.policy import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.homography import Points, apart, spread
from detectors.active.scene_motion import matched, places_of
from detectors.active.shape import shape_of
from detectors.contract_measures import DETAIL, FrameMeasures

#: Matches of the scene without which nothing is said of its shift.
_FEWEST_MATCHES = 6
#: Fewer details say nothing. A detail is found again within a pixel of 720, with at most 6 of 32 bits changed.
_FEWEST_DETAILS, _NEAR, _MOST_BITS = 10, 1 / 720, 6
#: Linear light below which a change says nothing: grey level 13 of 255.
_DARKEST = 0.004


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
    """Whether two frames with hardly any motion within the face are one picture: in the same light, with the details of
    the face where a picture moved as a whole has them."""
    if first is None or second is None or _change_of_light(first, second) > settings.still_light:
        return False
    return copied_details(first, second) >= settings.copied_details


def copied_details(first: FrameMeasures, second: FrameMeasures) -> float:
    """Share of the face's details that are found again at the places to which the scene has moved, to a pixel.

    A head moves against its scene by more than that within a third of a second, but once in hundreds of pairs. Where
    the scene has too few features, its shift is taken to be that of the landmarks.
    """
    source, target = matched(first.scene, second.scene)
    if len(source) < _FEWEST_MATCHES:
        source, target = shape_of(first), shape_of(second)
    one, other = (np.frombuffer(each.details, DETAIL) for each in (first, second))
    if min(len(one), len(other)) < _FEWEST_DETAILS:
        return 0.0
    away = places_of(one)[:, None] + np.median(target - source, axis=0) - places_of(other)[None]
    differing = one["description"][:, None] ^ other["description"][None]
    found = (np.linalg.norm(away, axis=2) < _NEAR) & (np.bitwise_count(differing).sum(axis=2) <= _MOST_BITS)
    return float(found.any(axis=1).sum()) / min(len(one), len(other))


def _change_of_light(first: FrameMeasures, second: FrameMeasures) -> float:
    """Median change of the regions' colours, as a share of their light; 0 without a region that both frames have."""
    changes = []
    for one, other in zip(first.light, second.light, strict=True):
        if one is not None and other is not None:
            pairs = ((one.red, other.red), (one.green, other.green), (one.blue, other.blue))
            changes += [abs(a - b) / max(a, b, _DARKEST) for a, b in pairs]
    return median(changes) if changes else 0.0


def motion_within(first: Points, second: Points) -> float:
    """Root mean square motion of landmarks (n, 2) that no shift, rotation and scale explains, as a share of the face's
    spread."""
    one, other = (points - points.mean(axis=0) for points in (first, second))
    one, other = one[:, 0] + 1j * one[:, 1], other[:, 0] + 1j * other[:, 1]
    size = np.vdot(one, one)
    turned = one * (np.vdot(one, other) / size) if abs(size) > 0 else one
    left, right = (np.stack([each.real, each.imag], axis=1) for each in (turned, other))
    return apart(left, right) / spread(right)
