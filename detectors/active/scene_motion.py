"""Motion of the scene beside the face between two frames, from features that are found in both.

The motion is a polynomial of second degree in x and y: near enough for a camera that moves before a room, for a flat
picture turned in the hand, and for one that is bent. A head moves by none that its surroundings have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.active.homography import Points
from detectors.contract_measures import FEATURE, PLACES

#: Bits of 128 in which two descriptions of one thing differ at most: a quarter of what two things differ by on average.
MOST_BITS = 28
#: The second best must differ by that many bits more, so that one brick of a wall is not taken for the next.
_CLEARER_BY = 4
#: Distance from the motion, in frame's sides, up to which a feature goes with the motion: 3 pixels of 720.
NEAR = 0.004
#: Matches without which there is no motion; a polynomial of second degree has six coefficients an axis.
FEWEST_MATCHES = 8
_MINIMAL, _TRIES = 6, 150


#: Where points (n, 2) of the first frame are in the second if they belong to the scene.
SceneMotion = Callable[[Points], Points]


def matched(first: bytes, second: bytes) -> tuple[Points, Points]:
    """Places (n, 2) of the features (`FEATURE`) found in both frames: each the other's nearest, and clearly so."""
    one, other = (np.frombuffer(packed, FEATURE) for packed in (first, second))
    if not len(one) or not len(other):
        return np.empty((0, 2)), np.empty((0, 2))
    differing = _differing(*(np.unpackbits(each["description"], axis=1) for each in (one, other)))
    nearest, back = differing.argmin(axis=1), differing.argmin(axis=0)
    rows = np.arange(len(one))
    least = differing[rows, nearest]
    differing[rows, nearest] = len(nearest) * PLACES
    kept = (back[nearest] == rows) & (least <= MOST_BITS) & (differing.min(axis=1) >= least + _CLEARER_BY)
    return places_of(one[kept]), places_of(other[nearest[kept]])


def motion_of(source: Points, target: Points) -> SceneMotion | None:
    """The motion that most matches (n, 2) agree on; None for too few of them. The same matches give the same motion.

    Random sample consensus (M. Fischler and R. Bolles, CACM 24(6), 1981), then least squares on those that agree.
    """
    if len(source) < FEWEST_MATCHES:
        return None
    terms, rng = _terms(source), np.random.default_rng(0)
    best = np.zeros(len(source), bool)
    for _ in range(_TRIES):
        sample = rng.choice(len(source), _MINIMAL, replace=False)
        near = _near(terms, target, _least_squares(terms[sample], target[sample]))
        if near.sum() > best.sum():
            best = near
    if best.sum() < FEWEST_MATCHES:
        return None
    fitted = _least_squares(terms[best], target[best])
    return lambda points: _terms(points) @ fitted


def _terms(points: Points) -> Points:
    """Terms (n, 6) of a polynomial: 1, x, y, x², xy, y²."""
    x, y = points.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _least_squares(terms: Points, target: Points) -> Points:
    return np.asarray(np.linalg.lstsq(terms, target, rcond=1e-6)[0], np.float64)


def _near(terms: Points, target: Points, coefficients: Points) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(terms @ coefficients - target, axis=1) < NEAR)


def _differing(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Bits in which each of the first differs from each of the second, (n, m)."""
    one, other = first.astype(np.float32), second.astype(np.float32)  # which a matrix product is quick with
    both = one.sum(axis=1)[:, None] + other.sum(axis=1)[None, :]
    return np.asarray(both - 2 * one @ other.T, np.intp)


def places_of(features: NDArray[np.void]) -> Points:
    """Places (n, 2) of features or profiles, in frame's sides."""
    return np.stack([features["x"], features["y"]], axis=1) / PLACES
