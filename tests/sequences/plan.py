"""The plan of a capture: what the person does, and what the screen shows, at the moment of each frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from config.catalogues.challenges import CHALLENGES, FEWEST_FRAMES, LIGHT, MOST_FRAMES, NEUTRAL
from tests.sequences.light import DARK, Light, light_of

_MOST_OF_ONE = 3
#: Share of the peak on each frame of a challenge that has one, two or three.
_COURSES = ((1.0,), (0.5, 1.0), (0.5, 1.0, 0.9))
#: People stand still to within a few pixels and degrees: what pushes them from frame to frame, of which 0.6 stays. Yaw,
#: pitch and roll in degrees, sway and shake in pixels, shares of the distance and of the exposure; set by eye.
_PUSHES = (0.9, 0.7, 0.6, 2.5, 2.0, 1.2, 1.2, 0.006, 0.012)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Moment of one frame. Angles in degrees as in `detectors.face_mesh.pose`, `smile` and `blink` 0 to 1; `sway` and
    `shake` are pixels by which person and camera have moved, `nearer` a share of the distance; `light` is what the
    screen adds to the ambient light; `exposure` multiplies the picture."""

    challenge: str
    at_ms: int
    colour: int | None = None
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    smile: float = 0.0
    blink: float = 0.0
    sway: tuple[float, float] = (0.0, 0.0)
    shake: tuple[float, float] = (0.0, 0.0)
    nearer: float = 0.0
    light: Light = DARK
    exposure: float = 1.0


def planned(
    challenges: Sequence[str], colours: Sequence[str], rng: np.random.Generator, strength: float = 1.0
) -> tuple[Moment, ...]:
    """Moments of a person who does each challenge in order: neutral first, 8 to 12 in all, more if the session has more
    colours and challenges than that. `strength` multiplies turns (17 to 29 degrees), expressions and light.

    Raises ValueError for an unknown challenge or colour, and for "light" without colours or the other way round.
    """
    if unknown := set(challenges) - {*CHALLENGES, LIGHT}:
        raise ValueError(f"no such challenge: {sorted(unknown)}")
    if (LIGHT in challenges) != bool(colours):
        raise ValueError('colours go with the challenge "light"')
    steps = _steps(challenges, colours, rng)
    return tuple(_moments(steps, colours, rng, strength))


@dataclass(frozen=True)
class _Step:
    """Step of a plan: one frame of a challenge, at this share of the challenge's peak."""

    challenge: str
    share: float = 0.0
    colour: int | None = None


def _steps(challenges: Sequence[str], colours: Sequence[str], rng: np.random.Generator) -> list[_Step]:
    """Steps in the session's order. Frames beyond one a challenge and colour and a neutral one go to further frames of
    challenges, but for one that is neutral at the end; what is left then is neutral at the beginning."""
    counts = [len(colours) if challenge == LIGHT else 1 for challenge in challenges]
    free = max(0, int(rng.integers(FEWEST_FRAMES, MOST_FRAMES + 1)) - 1 - sum(counts))
    last = min(1, free)
    acted = [place for place, challenge in enumerate(challenges) if challenge != LIGHT]
    wishes = [int(place) for _ in range(_MOST_OF_ONE - 1) for place in rng.permutation(acted)][: free - last]
    for place in wishes:
        counts[place] += 1
    steps = [_Step(NEUTRAL)] * (1 + free - last - len(wishes))
    for challenge, count in zip(challenges, counts, strict=True):
        if challenge == LIGHT:
            steps += [_Step(challenge, colour=colour) for colour in range(count)]
        else:
            steps += [_Step(challenge, share) for share in _COURSES[count - 1]]
    return steps + [_Step(NEUTRAL)] * last


def _moments(
    steps: Sequence[_Step], colours: Sequence[str], rng: np.random.Generator, strength: float
) -> Iterator[Moment]:
    at_ms, drift = int(rng.integers(0, 120)), np.zeros(len(_PUSHES))
    left, right, smile, blink = (strength * rng.uniform(*each) for each in ((17, 29), (17, 29), (0.85, 1), (0.85, 1)))
    peaks = {"head_left": left, "head_right": -right, "smile": smile, "blink": blink}
    for step in steps:
        drift = 0.6 * drift + rng.normal(0, _PUSHES)
        yaw, pitch, roll, right_by, down_by, shaken_right, shaken_down, nearer, brighter = drift.tolist()
        done = {name: step.share * peak if name == step.challenge else 0.0 for name, peak in peaks.items()}
        turn = done["head_left"] + done["head_right"]
        yield Moment(
            challenge=step.challenge,
            at_ms=at_ms,
            colour=step.colour,
            yaw=turn + yaw,
            pitch=pitch,
            roll=0.08 * turn + roll,
            smile=done["smile"],
            blink=done["blink"],
            sway=(right_by, down_by),
            shake=(shaken_right, shaken_down),
            nearer=nearer,
            light=DARK if step.colour is None else light_of(colours[step.colour], strength),
            exposure=1 + brighter,
        )
        at_ms += int(rng.integers(250, 450))
