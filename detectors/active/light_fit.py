"""Fits of light to colours: how well changes follow the colours shown, and whether each one does.

Changes of light, and colours, are rows of red, green and blue, one a colour in the order of the session.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Share of the screen below which an error of brightness counts as if the share were that large: a head that sways by a
#: few pixels changes by up to 0.1 against its background (102 rendered captures), where the screen's share is 0.19.
_TREMBLING = 0.19
#: Error of a colour where the others answer the wrong way round or not at all.
_NO_ANSWER = 99.0


class Fit(NamedTuple):
    """Fit of light to the colours in the session's order: correlation, -1 to 1, the share of all orders of the colours
    that fit as well, and whether no other order fits better."""

    correlation: float
    chance: float
    best: bool


def centred(rows: Floats) -> Floats:
    """Rows (n, 3) less their mean over time."""
    return np.asarray(rows - rows.mean(axis=0), np.float64)


def chromatic(light: Floats) -> Floats:
    """Changes of chromaticity: logarithms less their mean over the three channels, which exposure moves, and over
    time."""
    logarithm = np.log(light)
    return centred(logarithm - logarithm.mean(axis=1, keepdims=True))


def chromatic_wanted(wanted: Floats) -> Floats:
    return centred(wanted - wanted.mean(axis=1, keepdims=True))


def chromatic_share(light: Floats, wanted: Floats) -> float:
    return slope(chromatic(light), chromatic_wanted(wanted))


def slope(changes: Floats, wanted: Floats) -> float:
    power = float((wanted * wanted).sum())
    return float((changes * wanted).sum()) / power if power > 0 else 0.0


def compared(changes: Floats, wanted: Floats) -> Fit:
    """Fit of changes (n, 3) to the colours wanted."""
    shown = centred(wanted)
    size = float(np.linalg.norm(changes) * np.linalg.norm(shown))
    if not size > 0:
        return Fit(0.0, 1.0, best=False)
    fits = (changes @ shown.T)[np.arange(len(wanted)), _orders(len(wanted))].sum(axis=1)
    near = 1e-9 * size
    return Fit(float(fits[0]) / size, float((fits >= fits[0] - near).mean()), best=bool(fits.max() <= fits[0] + near))


@cache
def _orders(count: int) -> NDArray[np.intp]:
    """All orders of so many colours, (count!, count); the first is the one given."""
    return np.array(list(itertools.permutations(range(count))), np.intp)


def odd_colour(light: Floats, wanted: Floats) -> float:
    """Largest error of a colour's chromaticity (n, 3) against what the other colours tell of it, in shares of the
    screen: 0 where all follow alike, about 1 where one frame was lit by a colour of its own.

    Each colour is left out of the fit in turn, so that no frame can hide behind its own weight.
    """
    seen, shown = (each - each.mean(axis=1, keepdims=True) for each in (np.log(light), wanted))
    return max(_error_of(place, seen, shown) for place in range(len(shown)))


def _error_of(place: int, seen: Floats, shown: Floats) -> float:
    others = np.arange(len(shown)) != place
    level, middle = seen[others].mean(axis=0), shown[others].mean(axis=0)
    share = slope(seen[others] - level, shown[others] - middle)
    if not share > 0:
        return _NO_ANSWER
    return min(float(np.linalg.norm(seen[place] - level - share * (shown[place] - middle))) / share, _NO_ANSWER)


def odd_brightness(light: Floats, wanted: Floats, share: float) -> float:
    """Largest error of a colour's brightness (n, 3) against the median of all, in shares of the screen: about 1 where a
    white frame and a black one have changed places, which have one chromaticity. `share` is the screen's."""
    left = (np.log(light) - share * wanted).mean(axis=1)
    return float(np.abs(left - np.median(left)).max()) / max(share, _TREMBLING)
