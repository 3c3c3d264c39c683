"""A rendered sequence: the frames of one capture with what each was asked for, and what the session had asked."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class RenderedFrame:
    """Frame of a rendered sequence. `image` is a JPEG, `challenge` "neutral" or what the client says was on its screen,
    `at_ms` milliseconds since the capture began, `colour` an index into the session's colours with "light"."""

    image: bytes = field(repr=False)
    challenge: str
    at_ms: int
    colour: int | None = None


@dataclass(frozen=True)
class RenderedSequence:
    """Sequence of one capture, in the order of sending. `challenges` and `colours` are what the session asked for, in
    its order."""

    frames: tuple[RenderedFrame, ...]
    challenges: tuple[str, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True)
class AskedSession:
    """Session as the maker of an attack sees it: what is asked for, and seed and strength of the answer."""

    challenges: tuple[str, ...]
    colours: tuple[str, ...]
    seed: int
    strength: float


def attack(make: Callable[..., Iterable[RenderedFrame]]) -> Callable[..., RenderedSequence]:
    """Maker of an attack's sequence, called like `genuine`, out of one of the frames: `make(*photos, asked, rng)`.

    The sequence raises ValueError for a strength outside 0 to 1, and whatever making frames raises.
    """

    @functools.wraps(make)
    def made(
        *photos: object, challenges: Sequence[str], colours: Sequence[str] = (), seed: int, strength: float = 1.0
    ) -> RenderedSequence:
        if not 0 <= strength <= 1:
            raise ValueError("a strength is 0 to 1")
        asked, of_attack = AskedSession(tuple(challenges), tuple(colours), seed, strength), make.__name__.encode()
        frames = tuple(make(*photos, asked, np.random.default_rng([seed, zlib.crc32(of_attack)])))
        return RenderedSequence(frames, asked.challenges, asked.colours)

    return made
