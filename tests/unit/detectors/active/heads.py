"""Heads and pictures for tests of active liveness: landmarks of MediaPipe's canonical face, turned and projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from config.catalogues.challenges import Colour, FrameChallenge
from detectors.active.assessed import AssessedFrame
from detectors.contract_measures import (
    FACE_SAMPLES,
    FEATURE,
    LIGHT_REGIONS,
    PLACES,
    PLACES_ON_FACE,
    PROFILE,
    PROFILE_PLACES,
    PROFILE_SIDE,
    SHAPE_LANDMARKS,
    FrameMeasures,
    RegionLight,
)
from detectors.face_mesh.canonical import BASIS_LANDMARKS, BASIS_POSITIONS
from tests.unit.detectors.conftest import rotation

#: Vertices of `canonical_mesh` in the same file as those of the pose fit, centimetres.
_FURTHER = {
    1: (0.0, -1.127, 7.476),
    2: (0.0, -2.089, 6.058),
    5: (0.0, 0.366, 7.243),
    152: (0.0, -9.403, 4.264),
    168: (0.0, 3.271, 5.236),
    195: (0.0, 1.059, 6.775),
    234: (-7.664, 0.673, -2.436),
    454: (7.664, 0.673, -2.436),
}
_POSITIONS = dict(zip(BASIS_LANDMARKS.tolist(), BASIS_POSITIONS.T.tolist(), strict=True)) | _FURTHER
HEAD = np.array([_POSITIONS[landmark] for landmark in SHAPE_LANDMARKS])
#: The same face printed on paper.
PRINT = HEAD * (1, 1, 0)
#: Corners of a scene on a wall two metres from the camera, and on the paper around a printed face.
WALL = np.array([(x, y, -165.0) for x in range(-70, 71, 20) for y in range(-90, 91, 30)], float)
PAPER = np.array([(x, y, 0.0) for x in (-12, -10, 10, 12) for y in range(-12, 13, 3)], float)
_CAMERA_CM, _FOCAL = 35.0, 0.8
_EARS = [SHAPE_LANDMARKS.index(ear) for ear in (234, 454)]
_ALBEDO = np.array((0.3, 0.2, 0.15))


def seen(points: np.ndarray, yaw: float = 0.0) -> np.ndarray:
    """Places (n, 2) in frame's sides of points (n, 3) in centimetres (y up, z towards the camera), turned by
    degrees."""
    turned = points @ rotation(yaw)[:3, :3].T
    return np.asarray(0.5 + _FOCAL * turned[:, :2] * (1, -1) / (_CAMERA_CM - turned[:, 2:]))


def bent(points: np.ndarray, radius: float) -> np.ndarray:
    """Points of a sheet around a cylinder from top to bottom."""
    angle = points[:, 0] / radius
    return np.stack([radius * np.sin(angle), points[:, 1], radius * (np.cos(angle) - 1)], axis=1)


def packed(places: np.ndarray, seed: int = 0) -> bytes:
    """Features at places, each with a description of its own; the same seed gives the same things."""
    features = np.zeros(len(places), FEATURE)
    features["description"] = np.random.default_rng(seed).integers(0, 256, features["description"].shape)
    features["x"], features["y"] = np.rint(np.clip(places, 0, 1) * PLACES).T
    return features[((places > 0) & (places < 1)).all(axis=1)].tobytes()


def profiled(face: np.ndarray, around: np.ndarray, *, noise: float = 0.0, seed: int = 0) -> bytes:
    """Profiles of a face and of what is around, at places (n, 2) in frame's sides: waves of a place's own that go with
    the place to any part of a sample, with the noise of a camera as a share of the waves."""
    places = np.vstack([face[:PLACES_ON_FACE], around[: PROFILE_PLACES - PLACES_ON_FACE]])
    samples = FACE_SAMPLES / float(np.linalg.norm(seen(HEAD)[_EARS[0]] - seen(HEAD)[_EARS[1]]))
    middles = np.rint(places * samples)
    rng, waves = np.random.default_rng([seed, 1]), np.random.default_rng(0).uniform(0, 6.3, (len(places), 2, 1, 4))
    along = np.arange(PROFILE_SIDE) - PROFILE_SIDE / 2 + (middles - places * samples)[:, :, None]
    courses = np.sin(along[..., None] * (0.15, 0.3, 0.5, 0.7) + waves).sum(axis=-1)
    courses += noise * rng.standard_normal(courses.shape)
    courses *= 127 / np.abs(courses).max(axis=-1, keepdims=True)
    found = np.zeros(PROFILE_PLACES, PROFILE)
    there = found[: len(places)]
    there["x"], there["y"] = np.rint(middles / samples * PLACES).T
    there["across"], there["down"] = np.rint(courses).transpose(1, 0, 2)
    return found.tobytes()


def light(front: Sequence[float] = tuple(_ALBEDO), **others: Sequence[float]) -> tuple[RegionLight, ...]:
    """Light of the regions, red, green, blue; `front` wherever another is not named."""
    rows = ([float(each) for each in others.get(name, front)] for name in LIGHT_REGIONS)
    return tuple(RegionLight(red=r, green=g, blue=b, clipped=0.0) for r, g, b in rows)


def measures(face: np.ndarray = HEAD, scene: np.ndarray | None = None, **told: Any) -> FrameMeasures:
    """Measures of a face turned by `turned` degrees, `yaw` unless told. The wall behind rests, another `scene`
    turns."""
    turned = told.pop("turned", told.get("yaw", 0.0))
    around = seen(WALL) if scene is None else seen(scene, turned)
    fields: dict[str, Any] = {
        "yaw": 0.0,
        "pitch": 0.0,
        "roll": 0.0,
        "eye_right": 0.3,
        "eye_left": 0.3,
        "mouth_width": 0.8,
        "corner_lift": 0.0,
        "shape": tuple(seen(face, turned).ravel().tolist()),
        "scene": packed(around),
        "profiles": profiled(seen(face, turned), around),
        "light": light(),
        "brightness": 130.0,
        "clipped": 0.0,
        "sharpness": 100.0,
    }
    return FrameMeasures(**{**fields, **told})


#: What a person does for each challenge.
DONE: dict[str, dict[str, Any]] = {
    "neutral": {},
    "light": {},
    "head_left": {"yaw": 22.0},
    "head_right": {"yaw": -22.0},
    "smile": {"mouth_width": 1.05, "corner_lift": 0.05},
    "blink": {"eye_right": 0.1, "eye_left": 0.1},
}
_RGB = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "cyan": (0, 1, 1), "magenta": (1, 0, 1)}
_RGB |= {"yellow": (1, 1, 0), "white": (1, 1, 1), "black": (0, 0, 0)}


def frame(challenge: FrameChallenge, number: int, done: str = "", **told: Any) -> AssessedFrame:
    """Frame `number` of a person who does what the challenge asks, or something else; no two frames are quite alike."""
    made = measures(**{**DONE[done or challenge], **told})
    trembling = np.array(made.shape) + np.random.default_rng(number).normal(0, 0.003, len(made.shape))
    swayed = profiled(seen(HEAD) + 0.004 * number, seen(WALL))
    return AssessedFrame(
        challenge=challenge,
        at_ms=300 * number,
        measures=replace(made, shape=tuple(trembling.tolist()), profiles=swayed),
        face_distance=0.3 if number else 0.0,
        pixels=f"{number:032x}",
    )


def capture(*challenges: FrameChallenge, **told: Any) -> list[AssessedFrame]:
    """Two neutral frames, then two of each challenge."""
    labels: tuple[FrameChallenge, ...] = ("neutral", "neutral", *(each for name in challenges for each in (name, name)))
    return [frame(label, number, **told) for number, label in enumerate(labels)]


def lit_frames(
    colours: Sequence[Colour], *, front: float = 0.25, side: float = 0.1, behind: float = 0.01, late: float = 0.0
) -> list[AssessedFrame]:
    """Frames of the light challenge; each region takes a share of its light from the screen, `late` of that from the
    colour before."""
    shown = np.array([_RGB[colour] for colour in colours], float)
    shown = (1 - late) * shown + late * np.vstack([np.zeros(3), shown[:-1]])
    shares = {"side_right": side, "side_left": side, "background": behind}
    found = []
    for number, colour in enumerate(shown):
        others = {name: _ALBEDO * (1 + share * colour) for name, share in shares.items()}
        regions = light(_ALBEDO * (1 + front * colour), **others)
        found.append(replace(frame("light", 20 + number, light=regions), colour=number))
    return found
