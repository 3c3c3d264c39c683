"""Light of the phone's screen on what stands before it, added to the light of the room."""

from __future__ import annotations

import cv2
import numpy as np

from tests.sequences.surface import DISTANCE, Floats, Surface, normals

#: What a screen adds to the ambient light, as a share of it: blue, green, red.
Light = tuple[float, float, float]
DARK: Light = (0.0, 0.0, 0.0)
#: A white screen of 500 cd/m2 and 15 cm by 7 cm gives 41 lux at 35 cm (luminance times area over squared distance); a
#: lit room gives a face 100 to 150 lux.
_WHITE_SHARE = 0.35
#: Each primary of a screen as a camera's blue, green and red filters see it: they overlap a little.
_PRIMARIES = {"red": (0.02, 0.06, 1.0), "green": (0.08, 1.0, 0.08), "blue": (1.0, 0.08, 0.02)}
_MIXED: dict[str, tuple[str, ...]] = {
    "cyan": ("green", "blue"),
    "magenta": ("red", "blue"),
    "yellow": ("red", "green"),
    "white": ("red", "green", "blue"),
    "black": (),
}
#: The screen hangs below the camera, this many pixels of the frame.
_BELOW = 120.0
#: Share of a wall two metres behind a person at 35 cm, by the inverse square.
_BACKGROUND = (0.35 / 2.35) ** 2
_GAMMA = 2.2


def light_of(colour: str, strength: float = 1.0) -> Light:
    """Light of a screen of this colour; raises ValueError for an unknown one."""
    if colour not in _PRIMARIES and colour not in _MIXED:
        raise ValueError(f"no such colour: {colour!r}")
    parts = [_PRIMARIES[name] for name in _MIXED.get(colour, (colour,))]
    blue, green, red = (strength * _WHITE_SHARE * min(1.0, sum(part[k] for part in parts)) for k in range(3))
    return (blue, green, red)


def mixed(one: Light, other: Light, share: float) -> Light:
    """Light of one screen that turns into another, by a share of 0 to 1."""
    blue, green, red = ((1 - share) * a + share * b for a, b in zip(one, other, strict=True))
    return (blue, green, red)


def shading(surface: Surface) -> Floats:
    """Share of the screen's light that each point of a matt surface gets (n,): Lambert's cosine over the squared
    distance, 1 for a point that faces the screen at the camera's usual distance."""
    towards = np.array([0, _BELOW, -DISTANCE], np.float32) - surface.points
    far = np.linalg.norm(towards, axis=1)
    cosine = np.clip((normals(surface) * towards).sum(axis=1) / far, 0, 1)
    return np.asarray(cosine * (DISTANCE / far) ** 2, np.float32)


def lit(picture: Floats, share: Floats, light: Light) -> Floats:
    """A BGR picture with the screen's light on it; `share` (height, width) of `shading`, 0 to 1 of the background's.

    Light is added in linear terms; a picture's tones are about their root of 2.2. The camera's exposure takes back a
    third of the brightness that the middle of the picture gains.
    """
    if light == DARK:
        return picture
    height, width = share.shape
    small = cv2.resize(share, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 2.5)
    gain = 1 + small[..., None] * np.array(light, np.float32)
    gained = float(gain[height // 6 : height // 3, width // 6 : width // 3].mean())
    brighter = (gain / (1 + (gained - 1) / 3)) ** (1 / _GAMMA)
    return picture * cv2.resize(np.asarray(brighter, np.float32), (width, height))


def background_share(share: Floats, cover: Floats) -> Floats:
    """Share of the screen's light over the frame, where a person covers 0 to 1 of each pixel."""
    return np.asarray(share * cover + _BACKGROUND * (1 - cover), np.float32)
