"""Challenges and colours of a session, drawn so that nobody can tell them beforehand (the system's own randomness)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from config.catalogues.challenges import (
    COLOURS,
    FEWEST_COLOURS,
    LONGEST_COLOUR_MS,
    MOST_COLOURS,
    MOST_FRAMES,
    SHORTEST_COLOUR_MS,
    Challenge,
    Colour,
)

_RANDOM = secrets.SystemRandom()
#: Colours of one chromaticity. A light challenge needs two of the others: each colour must be told by what the rest
#: shows (`detectors.active.light_fit.odd_colour`), and these tell nothing of a third. Of four colours 2.7 % have fewer.
_GREYS: tuple[Colour, ...] = ("white", "black")
_FEWEST_CHROMATIC = 2


def drawn_challenges(allowed: Sequence[Challenge]) -> tuple[Challenge, ...]:
    """The allowed challenges in a random order."""
    return tuple(_RANDOM.sample(list(allowed), len(allowed)))


def drawn_colours(challenges: int) -> tuple[tuple[Colour, ...], int]:
    """Colours of a light challenge beside so many movements, no two neighbours alike, and how long each is shown,
    milliseconds. A capture has room for a frame of each, and for one at rest."""
    most, colours = min(MOST_COLOURS, MOST_FRAMES - challenges - 1), list[Colour]()
    while sum(each not in _GREYS for each in colours) < _FEWEST_CHROMATIC:
        colours = _row(most)
    return tuple(colours), _RANDOM.randint(SHORTEST_COLOUR_MS, LONGEST_COLOUR_MS)


def _row(most: int) -> list[Colour]:
    colours = [_RANDOM.choice(COLOURS)]
    while len(colours) < FEWEST_COLOURS or (len(colours) < most and _RANDOM.getrandbits(1)):
        colours.append(_RANDOM.choice([each for each in COLOURS if each != colours[-1]]))
    return colours
