"""Genuine footage: a sitter filmed at the moments of a plan, and the camera that films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import cv2
import numpy as np

from stream.demo import attacks
from tests.sequences.expressions import blinked, lidded, smiled
from tests.sequences.light import background_share, lit, shading
from tests.sequences.plan import Moment, planned
from tests.sequences.sequence import RenderedFrame, RenderedSequence
from tests.sequences.sitter import MARGIN, Photo, Sitter, sitter_of
from tests.sequences.surface import DISTANCE, HEIGHT, WIDTH, Floats, Surface, draw, read, rotation, unprojected

QUALITY = 92
#: Noise of a phone in a lit room, a standard deviation of 2 grey levels: 256 equally likely levels, drawn
#: four times as fast as a normal distribution itself.
_NOISE = np.array([NormalDist(0, 2).inv_cdf((level + 0.5) / 256) for level in range(256)], np.float32)


def genuine(
    photo: Photo, *, challenges: Sequence[str], colours: Sequence[str] = (), seed: int, strength: float = 1.0
) -> RenderedSequence:
    """Sequence of a person who does what the session asks. `photo` is uint8 (height, width, 3) BGR of one person who
    looks about straight into the camera; `strength` multiplies turns, expressions and the light of the screen: 1 is
    clear, 0 a person who does nothing. Raises ValueError for a photograph without a face, and as `planned` does."""
    rng = np.random.default_rng(seed)
    sitter = sitter_of(photo)
    moments = planned(challenges, colours, rng, strength)
    frames = filmed(moments, lambda moment: seen_by_camera(sitter, moment), rng)
    return RenderedSequence(frames, tuple(challenges), tuple(colours))


def filmed(
    moments: Sequence[Moment], scene: Callable[[Moment], Floats], rng: np.random.Generator
) -> tuple[RenderedFrame, ...]:
    """Frames of a scene, which is the camera's view (HEIGHT, WIDTH, 3) BGR at a moment, with exposure and noise."""
    return tuple(
        RenderedFrame(
            image=exposed(scene(moment), moment.exposure, rng),
            challenge=moment.challenge,
            at_ms=moment.at_ms,
            colour=moment.colour,
        )
        for moment in moments
    )


def exposed(picture: Floats, exposure: float, rng: np.random.Generator) -> bytes:
    """JPEG of a float32 BGR picture as a sensor takes it."""
    noise = _NOISE[rng.integers(0, 256, picture.shape, np.uint8)]
    pixels = np.clip(picture * np.float32(exposure) + noise, 0, 255)
    return attacks.jpeg(pixels.astype(np.uint8), quality=QUALITY)


def seen_by_camera(sitter: Sitter, moment: Moment, plate: Floats | None = None) -> Floats:
    """View (HEIGHT, WIDTH, 3) float32 BGR of the sitter at a moment, before the own background or another `plate`."""
    surface, shake = posed(sitter, moment), np.array(moment.shake, np.float32)
    drawn = draw(surface, shake, shading(surface) if any(moment.light) else None)
    person = read(sitter.texture, drawn)
    cover = person[..., 3] * drawn.covered
    behind = viewed(sitter.plate if plate is None else plate, shake)
    picture = behind + (person[..., :3] - behind) * cover[..., None]
    return lit(picture, background_share(drawn.values, cover), moment.light)


def viewed(plate: Floats, shake: Floats) -> Floats:
    """The part of a picture with its margin that the camera sees."""
    place = np.array([[1, 0, shake[0] - MARGIN], [0, 1, shake[1] - MARGIN]], np.float32)
    return np.asarray(cv2.warpAffine(plate, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), np.float32)


def posed(sitter: Sitter, moment: Moment) -> Surface:
    """Surface of the sitter with the moment's expression and pose."""
    seen = blinked(smiled(sitter.seen, moment.smile, sitter.face_width), moment.blink)
    rest = unprojected(seen)
    turn = rotation(moment.yaw - sitter.yaw, moment.pitch, moment.roll)
    turned = (rest - sitter.pivot) @ turn.T + sitter.pivot
    points = rest + sitter.follows[:, None] * (turned - rest)
    points += np.array([*moment.sway, -moment.nearer * DISTANCE], np.float32)
    return Surface(points.astype(np.float32), lidded(sitter.texels, moment.blink), sitter.triangles)
