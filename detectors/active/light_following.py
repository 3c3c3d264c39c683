"""The light challenge: does the light on the face follow the colours that the screen showed?

In linear terms a face that takes a share g of its light from the screen is seen as `albedo * ambient * (1 + g *
colour)`, times exposure and white balance. The logarithm of face over background has neither albedo nor exposure nor
white balance in its changes, so these are compared with the colours shown (flash-based liveness as in D. Tang et al.,
"Face Flashing: a secure liveness detection protocol based on light reflections", NDSS 2018).

- *followed*: the correlation of changes with colours must be high, and the session's order of colours must fit best, or
  better than nearly all other orders of the same colours. The share of orders that fit as well is the chance that a
  sequence made without knowledge of the session passes: at least 1 in 24 for four colours, 1 in 720 for six.
  Of the face against the background, which no white balance moves, and the face's own chromaticity, which no dark
  or noisy background spoils, the better one counts.
- *each colour*: what the other colours tell of one must be seen there too. One frame that was lit by another colour, as
  one that is a copy or stands in another's place, leaves a correlation high.
- *in time*: changes are also fitted as a mixture of the colour at hand and the one before.
- *pattern*: a face is lit most where it faces the screen, the sides less, the room behind next to nothing. A picture
  is lit alike all over. Each region's own share follows from its chromaticity, which exposure can't move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from config.catalogues.challenges import FEWEST_COLOURS, LIGHT, MOST_COLOURS, Colour
from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.light_fit import (
    Fit,
    Floats,
    centred,
    chromatic,
    chromatic_share,
    chromatic_wanted,
    compared,
    odd_brightness,
    odd_colour,
    slope,
)
from detectors.contract_measures import FRONT

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
_SIDE, _BEHIND = ("side_right", "side_left"), ("background",)
#: Linear light of a region below which its mean says nothing: grey level 2 of 255. The mean over a region's pixels is
#: finer than one pixel's noise, and a dark room's background still tells the exposure: of 32 rendered captures with a
#: 66th or a 33rd of the light, and another exposure by up to 20 % in each frame, 30 pass (22 with level 5).
_DARKEST = 0.0006


@dataclass(frozen=True, slots=True, kw_only=True)
class LightFollowing:
    """How the light followed the colours. `correlation`, -1 to 1, is that of the session's order;
    `share` is the screen's part of the light on the front of the face, `lag` the part of the answer that belongs to the
    colour before and `lagging` how well both together fit, 0 to 1; `flat` is the share of the sides and `behind` of the
    background over that of the front; `odd` and `dim` are the errors of the colours
    that follow least, in chromaticity and in brightness, as parts of the screen's share."""

    correlation: float = 0.0
    share: float = 0.0
    lag: float = 0.0
    lagging: float = 0.0
    flat: float = 1.0
    behind: float = 1.0
    odd: float = 0.0
    dim: float = 0.0
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
    against = centred(np.log(front / behind))
    fit, alone = compared(against, wanted), compared(chromatic(front), chromatic_wanted(wanted))
    lag, lagging = _lag(against, wanted)
    shares = [chromatic_share(each, wanted) for each in (front, side, behind)]
    ahead = max(abs(shares[0]), 1e-9)
    measured = LightFollowing(
        correlation=max(fit, alone).correlation,
        share=slope(against, centred(wanted)),
        lag=lag,
        lagging=lagging,
        flat=shares[1] / ahead,
        behind=shares[2] / ahead,
        odd=min(odd_colour(front / behind, wanted), odd_colour(front, wanted)),
        dim=odd_brightness(front / behind, wanted, shares[0]),
    )
    follows = any(
        _follows(each, settings) and share > settings.least_share
        for each, share in ((fit, measured.share), (alone, shares[0]))
    )
    late = {"light_too_late"} if _is_out_of_time(lit, colour_ms, settings) else set()
    return replace(measured, reasons=frozenset(late | _reasons(measured, follows, lit, settings)))


def _reasons(found: LightFollowing, follows: bool, lit: Sequence[AssessedFrame], settings: ActivePolicy) -> set[str]:
    """Reason codes of the numbers; `follows`: whether the light follows the colours as a whole."""
    if found.lag > settings.most_lag and found.lagging >= settings.least_correlation:
        return {"light_too_late"}
    if follows and (found.flat > settings.most_flat or found.behind > settings.most_behind):
        return {"light_pattern_flat"}
    if follows:
        odd = found.odd > settings.most_odd or found.dim > settings.most_dim
        return {"light_not_followed"} if odd else set()
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
        for light, regions in zip(found, (FRONT, _SIDE, _BEHIND), strict=True):
            rows = [row for each in measures if (row := each.light_of(regions)) is not None]
            if not rows:
                return None
            light[colour] = np.maximum(np.mean(rows, axis=0), _DARKEST)
    return found[0], found[1], found[2]


def _lag(changes: Floats, wanted: Floats) -> tuple[float, float]:
    """Part of the answer that belongs to the colour before, and the correlation of the answer with the mixture of both:
    least squares on the colour at hand and the one before, from the second colour on."""
    now, before, seen = (centred(each).ravel() for each in (wanted[1:], wanted[:-1], changes[1:]))
    mixture = np.stack([now, before], axis=1)
    at_hand, earlier = np.maximum(np.linalg.lstsq(mixture, seen, rcond=None)[0], 0.0)
    fitted = mixture @ (at_hand, earlier)
    size = float(np.linalg.norm(fitted) * np.linalg.norm(seen))
    return (float(earlier / (at_hand + earlier)), float(fitted @ seen) / size) if size > 0 else (0.0, 0.0)


def _is_over_exposed(lit: Sequence[AssessedFrame], settings: ActivePolicy) -> bool:
    """Whether the face leaves no room for the screen's light: so much of its front is clipped."""
    clipped = [
        region.clipped for frame in lit if frame.measures is not None for region in frame.measures.regions(FRONT)
    ]
    return bool(clipped) and float(np.median(clipped)) > settings.most_clipped


def _is_out_of_time(lit: Sequence[AssessedFrame], colour_ms: int, settings: ActivePolicy) -> bool:
    """Whether a frame was taken when its colour was long over."""
    times = [(frame.at_ms, frame.colour) for frame in lit if frame.at_ms is not None and frame.colour is not None]
    first = min((at_ms for at_ms, _ in times), default=0)
    return any(at_ms - first > (colour + 1) * colour_ms + settings.late_ms for at_ms, colour in times)
