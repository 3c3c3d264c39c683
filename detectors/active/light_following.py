"""The light challenge: does the light on the face follow the colours that the screen showed?

In linear terms a face that takes a share g of its light from the screen is seen as `albedo * ambient * (1 + g *
colour)`, times exposure and white balance. The logarithm of face over background has neither albedo nor exposure nor
white balance in its changes, so these are compared with the colours shown (flash-based liveness as in D. Tang et al.,
"Face Flashing: a secure liveness detection protocol based on light reflections", NDSS 2018).

- *followed*: the correlation of changes with colours must be high, and the session's order of colours must fit best, or
  better than nearly all other orders of the same colours. The share of orders that fit as well is the chance that a
  sequence made without knowledge of the session passes: at least 1 in 24 for four colours, 1 in 720 for six.
- *in time*: changes are also fitted as a mixture of the colour at hand and the one before.
- *pattern*: a face is lit most where it faces the screen, the sides less, the room behind next to nothing. A picture
  is lit alike all over. Each region's own share follows from its chromaticity, which exposure can't move.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.challenges import FEWEST_COLOURS, LIGHT, MOST_COLOURS, Colour
from config.policy import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.contract_measures import LIGHT_REGIONS, FrameMeasures

Floats = NDArray[np.float64]

#: Linear red, green and blue of a screen's colours.
_RGB: dict[Colour, tuple[int, int, int]] = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "yellow": (1, 1, 0),
    "white": (1, 1, 1),
    "black": (0, 0, 0),
}
_FRONT, _SIDE, _BEHIND = ("nose", "cheek_right", "cheek_left"), ("side_right", "side_left"), ("background",)
#: Linear light below which a camera's noise is all there is: grey level 5 of 255.
_DARKEST = 0.0015


class Fit(NamedTuple):
    """Fit of light to the colours in the session's order: correlation, -1 to 1, the share of all orders of the colours
    that fit as well, and whether no other order fits better."""

    correlation: float
    chance: float
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LightFollowing:
    """How the light followed the colours. `correlation` -1 to 1 and `chance` 0 to 1 are those of the session's order;
    `share` is the screen's part of the light on the front of the face, `lag` the part of the answer that belongs to the
    colour before and `lagging` how well both together fit, 0 to 1; `flat` is the share of the sides and `behind` of the
    background over that of the front."""

    correlation: float = 0.0
    chance: float = 1.0
    share: float = 0.0
    lag: float = 0.0
    lagging: float = 0.0
    flat: float = 1.0
    behind: float = 1.0
    reasons: frozenset[str] = field(default_factory=frozenset)


def light_following(
    frames: Sequence[AssessedFrame], colours: Sequence[Colour], colour_ms: int, settings: ActivePolicy
) -> LightFollowing:
    """How the frames of the light challenge follow the session's colours. Pure; called by the assessment."""
    lit = [frame for frame in frames if frame.challenge == LIGHT]
    regions = _by_colour(lit, len(colours))
    if regions is None or not FEWEST_COLOURS <= len(colours) <= MOST_COLOURS:
        return LightFollowing(reasons=frozenset({"too_few_measures"}))
    front, side, behind = regions
    wanted = np.array([_RGB[colour] for colour in colours], np.float64)
    against = _centred(np.log(front / behind))
    fit = _compared(against, wanted)
    lag, lagging = _lag(against, wanted)
    shares = [_chromatic_share(each, wanted) for each in (front, side, behind)]
    ahead = max(abs(shares[0]), 1e-9)
    measured = LightFollowing(
        correlation=fit.correlation,
        chance=fit.chance,
        share=_slope(against, _centred(wanted)),
        lag=lag,
        lagging=lagging,
        flat=shares[1] / ahead,
        behind=shares[2] / ahead,
    )
    alone = _compared(_chromatic(front), _chromatic_wanted(wanted))
    coloured = _follows(alone, settings) and shares[0] > settings.least_share
    late = {"light_too_late"} if _is_out_of_time(lit, colour_ms, settings) else set()
    return replace(measured, reasons=frozenset(late | _reasons(measured, fit, coloured, lit, settings)))


def _reasons(
    found: LightFollowing, fit: Fit, coloured: bool, lit: Sequence[AssessedFrame], settings: ActivePolicy
) -> set[str]:
    """Reason codes of the numbers. `fit` is that of the face against the background; `coloured`: whether the face
    alone, without regard to the background, follows."""
    follows = _follows(fit, settings) and found.share > settings.least_share
    if found.lag > settings.most_lag and found.lagging >= settings.least_correlation:
        return {"light_too_late"}
    if (follows or coloured) and (found.flat > settings.most_flat or found.behind > settings.most_behind):
        return {"light_pattern_flat"}
    if follows:
        return set()
    return {"ambient_light_too_strong" if _is_over_exposed(lit, settings) else "light_not_followed"}


def _follows(fit: Fit, settings: ActivePolicy) -> bool:
    return fit.correlation >= settings.least_correlation and (fit.best or fit.chance <= settings.most_chance)


def _by_colour(lit: Sequence[AssessedFrame], count: int) -> tuple[Floats, Floats, Floats] | None:
    """Linear light (count, 3) of front, sides and background, the mean over the frames of each colour; None if a colour
    has no measured frame or the colours are not shown in turn."""
    shown = [frame.colour for frame in lit]
    if any(colour is None for colour in shown) or shown != sorted(shown, key=lambda colour: colour or 0):
        return None
    found = [np.zeros((count, 3)) for _ in range(3)]
    for colour in range(count):
        measures = [each.measures for each in lit if each.colour == colour and each.measures is not None]
        for light, regions in zip(found, (_FRONT, _SIDE, _BEHIND), strict=True):
            rows = [row for each in measures if (row := _light(each, regions)) is not None]
            if not rows:
                return None
            light[colour] = np.maximum(np.mean(rows, axis=0), _DARKEST)
    return found[0], found[1], found[2]


def _light(measures: FrameMeasures, regions: tuple[str, ...]) -> Floats | None:
    """Mean linear RGB over the regions that are in the frame; None without any."""
    rows = [measures.light[LIGHT_REGIONS.index(name)] for name in regions]
    seen = [(each.red, each.green, each.blue) for each in rows if each is not None]
    return np.asarray(np.mean(seen, axis=0), np.float64) if seen else None


def _centred(rows: Floats) -> Floats:
    """Rows (n, 3) less their mean over time."""
    return np.asarray(rows - rows.mean(axis=0), np.float64)


def _chromatic(light: Floats) -> Floats:
    """Changes of chromaticity: logarithms less their mean over the three channels, which exposure moves, and over
    time."""
    logarithm = np.log(light)
    return _centred(logarithm - logarithm.mean(axis=1, keepdims=True))


def _chromatic_wanted(wanted: Floats) -> Floats:
    return _centred(wanted - wanted.mean(axis=1, keepdims=True))


def _chromatic_share(light: Floats, wanted: Floats) -> float:
    return _slope(_chromatic(light), _chromatic_wanted(wanted))


def _slope(changes: Floats, wanted: Floats) -> float:
    power = float((wanted * wanted).sum())
    return float((changes * wanted).sum()) / power if power > 0 else 0.0


def _compared(changes: Floats, wanted: Floats) -> Fit:
    """Fit of changes (n, 3) to the colours wanted."""
    centred = _centred(wanted)
    size = float(np.linalg.norm(changes) * np.linalg.norm(centred))
    if not size > 0:
        return Fit(0.0, 1.0, best=False)
    fits = (changes @ centred.T)[np.arange(len(wanted)), _orders(len(wanted))].sum(axis=1)
    near = 1e-9 * size
    return Fit(float(fits[0]) / size, float((fits >= fits[0] - near).mean()), best=bool(fits.max() <= fits[0] + near))


@cache
def _orders(count: int) -> NDArray[np.intp]:
    """All orders of so many colours, (count!, count); the first is the one given."""
    return np.array(list(itertools.permutations(range(count))), np.intp)


def _lag(changes: Floats, wanted: Floats) -> tuple[float, float]:
    """Part of the answer that belongs to the colour before, and the correlation of the answer with the mixture of both:
    least squares on the colour at hand and the one before, from the second colour on."""
    now, before, seen = (_centred(each).ravel() for each in (wanted[1:], wanted[:-1], changes[1:]))
    mixture = np.stack([now, before], axis=1)
    at_hand, earlier = np.maximum(np.linalg.lstsq(mixture, seen, rcond=None)[0], 0.0)
    fitted = mixture @ (at_hand, earlier)
    size = float(np.linalg.norm(fitted) * np.linalg.norm(seen))
    return (float(earlier / (at_hand + earlier)), float(fitted @ seen) / size) if size > 0 else (0.0, 0.0)


def _is_over_exposed(lit: Sequence[AssessedFrame], settings: ActivePolicy) -> bool:
    """Whether the face leaves no room for the screen's light: so much of its front is clipped."""
    clipped = [
        region.clipped
        for frame in lit
        if frame.measures is not None
        for name in _FRONT
        if (region := frame.measures.light[LIGHT_REGIONS.index(name)]) is not None
    ]
    return bool(clipped) and float(np.median(clipped)) > settings.most_clipped


def _is_out_of_time(lit: Sequence[AssessedFrame], colour_ms: int, settings: ActivePolicy) -> bool:
    """Whether a frame was taken when its colour was long over."""
    times = [(frame.at_ms, frame.colour) for frame in lit if frame.at_ms is not None and frame.colour is not None]
    first = min((at_ms for at_ms, _ in times), default=0)
    return any(at_ms - first > (colour + 1) * colour_ms + settings.late_ms for at_ms, colour in times)
