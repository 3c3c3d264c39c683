"""Readings of rendered frames by the real mesh, for the tests of sequences; each sequence and frame is made once."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from detectors.face_mesh import Face, pose_of
from stream.demo import attacks
from tests.sequences import ATTACKS, RenderedFrame, RenderedSequence, genuine, portrait
from tests.sequences.sitter import face_of

CHALLENGES = ("head_left", "smile", "light", "blink", "head_right")
COLOURS = ("red", "blue")
#: Corners of the bare background, and the middle of the face, as the portrait is framed: rows, columns.
CORNER, MIDDLE = (slice(150, 230), slice(10, 70)), (slice(300, 400), slice(240, 300))


@cache
def made(attack: str | None = None, strength: float = 1.0, seed: int = 5) -> RenderedSequence:
    """Sequence of the portrait in one session; a second person is the portrait seen in a mirror, in half the light."""
    make = genuine if attack is None else ATTACKS[attack]
    second = (portrait()[:, ::-1] // 2,) if attack == "spliced" else ()
    return make(portrait(), *second, challenges=CHALLENGES, colours=COLOURS, seed=seed, strength=strength)


def peak(sequence: RenderedSequence, challenge: str, colour: int | None = None) -> RenderedFrame:
    """Frame on which a challenge is done most: the second of several, of a colour the only, of neutral the first."""
    frames = [frame for frame in sequence.frames if (frame.challenge, frame.colour) == (challenge, colour)]
    return frames[0 if challenge == "neutral" else min(1, len(frames) - 1)]


@cache
def face(frame: RenderedFrame) -> Face:
    return face_of(attacks.decode(frame.image))


def yaw(frame: RenderedFrame) -> float:
    return pose_of(face(frame).transform).yaw


def eyes(frame: RenderedFrame) -> float:
    """Eye aspect ratio, the mean of both: Soukupova and Cech, "Real-Time Eye Blink Detection", 2016."""
    right, left = (33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)
    return (_aspect(frame, right) + _aspect(frame, left)) / 2


def _aspect(frame: RenderedFrame, marks: tuple[int, ...]) -> float:
    outer, top, upper, inner, lower, bottom = face(frame).landmarks[list(marks), :2]
    heights = np.linalg.norm(top - bottom) + np.linalg.norm(upper - lower)
    return float(heights / (2 * np.linalg.norm(outer - inner)))


def mouth(frame: RenderedFrame) -> float:
    """Width of the mouth as a share of the distance between the outer corners of the eyes."""
    marks = face(frame).landmarks[:, :2]
    return float(np.linalg.norm(marks[61] - marks[291]) / np.linalg.norm(marks[33] - marks[263]))


def unlike_a_plane(one: RenderedFrame, other: RenderedFrame) -> float:
    """Root mean square of the landmarks' motion beyond that of any plane, as a share of the face's width."""
    before, after = (face(frame).landmarks[:468, :2].astype(np.float64) for frame in (one, other))
    matrix, _ = cv2.findHomography(before, after, 0)
    away = cv2.perspectiveTransform(before[None], matrix)[0] - after
    return float(np.sqrt((away**2).sum(axis=1).mean()) / np.linalg.norm(after[234] - after[454]))


def redder(one: RenderedFrame, other: RenderedFrame, place: tuple[slice, slice]) -> float:
    """Ratio of red to blue on a part of one frame over that on another."""
    (blue, _, red), (blue_there, _, red_there) = (
        attacks.decode(frame.image)[place].mean(axis=(0, 1)) for frame in (one, other)
    )
    return float(red / blue * blue_there / red_there)
