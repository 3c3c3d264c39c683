"""Attacks with a print held in a hand: flat, bent, or with eyes cut out of it.

The whole photograph, with its own background, is one sheet before another background; no part of the sheet moves
against another as those of a head do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from tests.sequences.expressions import LOWER_LIDS, UPPER_LIDS
from tests.sequences.footage import filmed, seen_by_camera, viewed
from tests.sequences.light import DARK, background_share, lit, shading
from tests.sequences.plan import Moment, planned
from tests.sequences.sequence import AskedSession, RenderedFrame, attack
from tests.sequences.sitter import MARGIN, Photo, Sitter, sitter_of
from tests.sequences.surface import DISTANCE, HEIGHT, WIDTH, Floats, Ints, Surface, draw, read, rotation

#: Points of a sheet along each side.
_COLUMNS, _ROWS = 25, 13
_MOUTH = (61, 291, 0, 17)


@attack
def turned_photograph(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """A flat print, turned in the hand when a turn is asked for, tilted a little for a smile or blink. `strength`: at 0
    the print is smaller than the picture, pale and shaken; at 1 the print has the tones of the photograph, is held in
    a steadier hand, and reaches so far beyond the picture that no edge shows."""
    sheet = _Sheet(photo, asked)
    moments = _handled(planned(asked.challenges, asked.colours, rng), rng, asked.strength)
    return filmed(moments, lambda moment: sheet.held(moment, sheet.printed, bend=0.0), rng)


@attack
def bent_photograph(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """A print bent around the axis from top to bottom, and turned as the flat one is. `strength`: at 0 hardly
    bent, with the flaws of `turned_photograph`; at 1 a cylinder with a radius of 0.7 of a face's width, near a head's
    own, and edges at the sides of the picture."""
    sheet = _Sheet(photo, asked)
    moments = _handled(planned(asked.challenges, asked.colours, rng), rng, asked.strength)
    bend = (0.2 + 0.8 * asked.strength) / (0.7 * sheet.sitter.face_width)
    return filmed(moments, lambda moment: sheet.held(moment, sheet.printed, bend=bend), rng)


@attack
def cut_out_eyes(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """A flat print with holes for real eyes, which blink, a little behind the sheet. `strength`: at 0 the holes have
    dark edges and the print the flaws of `turned_photograph`; above 0.5 the mouth is cut out too, and smiles."""
    sheet = _Sheet(photo, asked)
    moments = _handled(planned(asked.challenges, asked.colours, rng), rng, asked.strength)
    holes = _holes(sheet.sitter, mouth=asked.strength > 0.5)
    picture = _behind_holes(sheet, holes, asked.strength)
    return filmed(moments, lambda moment: sheet.held(moment, picture(moment), bend=0.0), rng)


class _Sheet:
    """Sheet with one photograph on it, before a background of its own."""

    def __init__(self, photo: Photo, asked: AskedSession) -> None:
        self.sitter = sitter_of(photo)
        self._room = room(asked.seed)
        self._size = 0.8 + 0.9 * asked.strength
        self._contrast = 0.75 + 0.25 * asked.strength
        self.printed = self.on_paper(self.sitter.picture)

    def on_paper(self, picture: Floats) -> Floats:
        """Picture in the narrow range of tones that a print has."""
        return np.asarray(110 + self._contrast * (picture - 110), np.float32)

    def held(self, moment: Moment, printed: Floats, *, bend: float) -> Floats:
        """Picture (HEIGHT, WIDTH, 3) of the sheet at a moment; `bend` is one over the cylinder's radius in pixels."""
        surface, shake = self._surface(moment, bend), np.array(moment.shake, np.float32)
        drawn = draw(surface, shake, shading(surface) if any(moment.light) else None)
        paper = read(printed, drawn)
        cover = np.asarray(cv2.GaussianBlur(drawn.covered.astype(np.float32), (0, 0), 0.7), np.float32)
        behind = viewed(self._room, shake)
        picture = behind + (paper - behind) * cover[..., None]
        return lit(picture, background_share(drawn.values, cover), moment.light)

    def _surface(self, moment: Moment, bend: float) -> Surface:
        flat, triangles = _grid(self._size)
        points = np.column_stack([flat, np.zeros(len(flat))])
        if bend:
            # Bent up to 60 degrees from the middle, straight from there on.
            angle = np.clip(flat[:, 0] * bend, -1.05, 1.05)
            beyond = flat[:, 0] - angle / bend
            points[:, 0] = np.sin(angle) / bend + beyond * np.cos(angle)
            points[:, 2] = (1 - np.cos(angle)) / bend + np.abs(beyond * np.sin(angle))
        points = points @ rotation(moment.yaw, moment.pitch, moment.roll).T
        points += np.array([*moment.sway, -moment.nearer * DISTANCE])
        texels = flat + np.array([WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN])
        return Surface(points.astype(np.float32), texels.astype(np.float32), triangles)


def room(seed: int) -> Floats:
    """Background of its own for a sheet, with the margin: boxes in the colours of a seed, out of focus."""
    rng = np.random.default_rng([seed, 1])
    height, width = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = rng.uniform(90, 190) + rng.uniform(-25, 25, 3)
    for _ in range(14):
        left, top = rng.integers(-60, width), rng.integers(-60, height)
        right, bottom = left + int(rng.integers(30, 220)), top + int(rng.integers(20, 320))
        colour = tuple(float(tone) for tone in rng.uniform(30, 220, 3))
        cv2.rectangle(wall, (int(left), int(top)), (int(right), int(bottom)), colour, -1)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 3), np.float32)


def _handled(moments: Sequence[Moment], rng: np.random.Generator, strength: float) -> list[Moment]:
    """Moments of a hand instead of a head: turns stay, expressions become tilts, and the hand shakes."""
    push = 2 - strength
    return [
        replace(
            moment,
            pitch=moment.pitch + 6 * (moment.smile - moment.blink) + float(rng.normal(0, push)),
            roll=moment.roll + float(rng.normal(0, push)),
            sway=(moment.sway[0] + float(rng.normal(0, 3 * push)), moment.sway[1] + float(rng.normal(0, 3 * push))),
        )
        for moment in moments
    ]


def _grid(size: float) -> tuple[Floats, Ints]:
    """Places (n, 2) on a sheet of `size` times the frame, from its middle, and the triangles between them."""
    across, down = (size * side / 2 * np.linspace(-1, 1, n) for side, n in ((WIDTH, _COLUMNS), (HEIGHT, _ROWS)))
    places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    first = (np.arange(_ROWS - 1)[:, None] * _COLUMNS + np.arange(_COLUMNS - 1)).ravel()
    below = first + _COLUMNS
    triangles = np.vstack(
        [np.column_stack(each) for each in ((first, first + 1, below), (first + 1, below + 1, below))]
    )
    return places.astype(np.float32), triangles


def _holes(sitter: Sitter, *, mouth: bool) -> Floats:
    """Holes in the print: 1 where cut, (h, w) with the margin."""
    cut = np.zeros(sitter.texture.shape[:2], np.float32)
    eyes = [[*UPPER_LIDS[:7], *LOWER_LIDS[:7]], [*UPPER_LIDS[7:], *LOWER_LIDS[7:]]]
    for landmarks, tall in [(eyes[0], 1.9), (eyes[1], 1.9), *([(list(_MOUTH), 1.4)] if mouth else [])]:
        places = sitter.texels[landmarks]
        low, high = places.min(axis=0), places.max(axis=0)
        middle, radii = (low + high) / 2, (high - low) / 2 * (1.25, tall)
        box = ((float(middle[0]), float(middle[1])), (2 * float(radii[0]), 2 * float(radii[1])), 0.0)
        cv2.ellipse(cut, box, 1.0, -1, cv2.LINE_AA)
    return cut


def _behind_holes(sheet: _Sheet, holes: Floats, strength: float) -> Callable[[Moment], Floats]:
    """Maker of the print with what is seen through its holes at a moment."""
    edge = cv2.morphologyEx(holes, cv2.MORPH_GRADIENT, np.ones((3, 3)))
    printed = sheet.printed * (1 - 0.7 * (1 - strength) * edge)[..., None]
    behind = 0.06 * sheet.sitter.face_width

    def picture(moment: Moment) -> Floats:
        real = Moment(challenge="", at_ms=0, yaw=sheet.sitter.yaw, smile=moment.smile, blink=moment.blink, light=DARK)
        seen = seen_by_camera(sheet.sitter, real)
        away = np.radians([moment.yaw, -moment.pitch]) * behind
        place = np.array([[1, 0, MARGIN + away[0]], [0, 1, MARGIN + away[1]]], np.float32)
        shown = cv2.warpAffine(seen, place, holes.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(printed + (shown - printed) * holes[..., None], np.float32)

    return picture
