"""The plane homography between two sets of points, and what a set of points keeps back from one.

Direct linear transform with normalised points (R. Hartley and A. Zisserman, "Multiple View Geometry in Computer
Vision", 2nd ed., algorithm 4.2). Two views of one plane are a homography apart, two views of a turned head are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

#: Points that determine a homography.
FEWEST_POINTS = 4
#: Lengths below this are nothing: far less than a pixel, in frame's sides.
_LEAST = 1e-9


def homography(source: Points, target: Points) -> Points:
    """float64 (3, 3) that takes `source` (n, 2) nearest to `target` (n, 2) in the algebraic sense.

    Raises ValueError for fewer than four points, or points in one place.
    """
    if len(source) < FEWEST_POINTS:
        raise ValueError("a homography needs four points")
    to_source, to_target = _normaliser(source), _normaliser(target)
    x, y = moved(to_source, source).T
    u, v = moved(to_target, target).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1),
        ]
    )
    least = np.linalg.svd(rows)[2][-1].reshape(3, 3)
    return np.asarray(np.linalg.inv(to_target) @ least @ to_source, np.float64)


def moved(matrix: Points, points: Points) -> Points:
    """Points (n, 2) under a homography; a point at infinity comes out far away, never as no number."""
    sent = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    depth = np.where(np.abs(sent[:, 2:]) < _LEAST, _LEAST, sent[:, 2:])
    return np.asarray(sent[:, :2] / depth, np.float64)


def spread(points: Points) -> float:
    """Root mean square distance of points (n, 2) from their middle, never 0."""
    return max(float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean())), _LEAST)


def apart(first: Points, second: Points) -> float:
    """Root mean square distance of points (n, 2) from their partners."""
    return float(np.sqrt(((first - second) ** 2).sum(axis=1).mean()))


def _normaliser(points: Points) -> Points:
    """The similarity (3, 3) that puts the middle of points at 0 and their mean distance from there at the root of 2."""
    middle = points.mean(axis=0)
    distance = float(np.linalg.norm(points - middle, axis=1).mean())
    if not distance > 1e-12:
        raise ValueError("the points lie in one place")
    scale = np.sqrt(2) / distance
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])
