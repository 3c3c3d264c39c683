"""Attacks with light: a video on a screen that lights the camera's picture in its own way, and light that comes late.

The video is of the person doing this session's challenges, as a program that makes pictures to order would give.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.sequences.footage import filmed, seen_by_camera
from tests.sequences.light import DARK, Light, lit, mixed
from tests.sequences.plan import Moment, planned
from tests.sequences.sequence import AskedSession, RenderedFrame, attack
from tests.sequences.sitter import Photo, Sitter, sitter_of
from tests.sequences.surface import HEIGHT, WIDTH, Floats, projected, rotation


@attack
def screen_with_colours(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Video on a flat screen that shows the session's colours over the video: all of the screen, face, hair and
    background, takes the colour alike. `strength`: at 0 the colours are three times as strong as a phone's on a face,
    bezel and pixel grid show and the device shakes; at 1 none of these."""
    return _shown(photo, asked, rng, glow=3 - 2 * asked.strength)


@attack
def screen_without_colours(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Video on a flat screen, which the session's colours change in nothing. `strength` is of bezel, pixel grid and
    shaking as for `screen_with_colours`; at 1 a twentieth of the colours comes back from the glass."""
    return _shown(photo, asked, rng, glow=0.05 * asked.strength)


@attack
def late_colours(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Genuine sequence whose light is that of the colour before, as when light is made after the session's colours are
    seen. `strength`: at 0 one whole step late, the first frame dark; at 1 half a step: a mixture in equal parts."""
    sitter, moments = sitter_of(photo), planned(asked.challenges, asked.colours, rng)
    late = [
        moment
        if moment.colour is None
        else replace(moment, light=mixed(before.light, moment.light, asked.strength / 2))
        for before, moment in zip(moments[:1] + moments, moments, strict=False)
    ]
    return filmed(late, lambda moment: seen_by_camera(sitter, moment), rng)


def _shown(photo: Photo, asked: AskedSession, rng: np.random.Generator, *, glow: float) -> Iterable[RenderedFrame]:
    """Frames of a video on a screen whose colours are `glow` times those that a phone throws on a face."""
    sitter, moments = sitter_of(photo), planned(asked.challenges, asked.colours, rng)
    hands = {moment.at_ms: rng.normal(0, 1, 5) for moment in moments}
    return filmed(moments, lambda moment: _screen(sitter, moment, hands[moment.at_ms], asked.strength, glow), rng)


def _screen(sitter: Sitter, moment: Moment, hand: NDArray[np.float64], strength: float, glow: float) -> Floats:
    """Picture (HEIGHT, WIDTH, 3) of the screen: video, colours over all of it, pixels, and the hand that holds it."""
    video = seen_by_camera(sitter, replace(moment, light=DARK))
    blue, green, red = (glow * each for each in moment.light)
    colour: Light = (blue, green, red)
    shown = lit(video, np.ones((HEIGHT, WIDTH), np.float32), colour) * _pixels(1 - strength)
    size = 0.86 + 0.26 * strength
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    corners *= size / 2 * np.array([WIDTH, HEIGHT, 1], np.float32)
    turn = rotation(*(float(angle) for angle in (1.5 - 0.5 * strength) * hand[:3]))
    shake = np.array([*(3 - strength) * hand[3:], 0.0])
    placed = projected((corners @ turn.T + shake).astype(np.float32))
    flat = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(flat, placed)
    # What lies beyond the screen is its bezel.
    return np.asarray(cv2.warpPerspective(shown, matrix, (WIDTH, HEIGHT), borderValue=(14, 12, 12)), np.float32)


def _pixels(depth: float) -> Floats:
    """Grid of a screen's pixels as the second camera sees it, and the moire: factors (HEIGHT, WIDTH, 1)."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    lines = 0.5 + 0.5 * np.cos(2 * np.pi * (columns + 0.03 * rows) / 3)
    waves = 0.5 + 0.5 * np.cos(2 * np.pi * columns / 41) * np.cos(2 * np.pi * rows / 37)
    return np.asarray(1 - depth * (0.25 * lines + 0.12 * waves)[..., None], np.float32)
