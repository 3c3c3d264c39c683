"""The plan of a capture: what the person does, and what the screen shows, at the moment of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.sequences.light import DARK, Light, light_of
from tests.sequences.sequence import CHALLENGES, NEUTRAL

FEWEST, MOST = 8, 12
_MOST_OF_ONE = 3
#: Share of the peak on each frame of a challenge that has one, two or three.
_COURSES = ((1.0,), (0.5, 1.0), (0.5, 1.0, 0.9))


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
    if unknown := set(challenges) - set(CHALLENGES):
        raise ValueError(f"no such challenge: {sorted(unknown)}")
    if ("light" in challenges) != bool(colours):
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
    counts = [len(colours) if challenge == "light" else 1 for challenge in challenges]
    first, last = 1, 0
    extra = int(rng.integers(FEWEST + 1, MOST + 1)) - first - sum(counts)
    acted = [place for place, challenge in enumerate(challenges) if challenge != "light"]
    wishes = [int(place) for _ in range(_MOST_OF_ONE - 1) for place in rng.permutation(acted)]
    for place in wishes[: max(0, extra - 1)]:
        counts[place] += 1
        extra -= 1
    last, first = int(extra > 0), first + max(0, extra - 1)
    steps = [_Step(NEUTRAL)] * first
    for challenge, count in zip(challenges, counts, strict=True):
        if challenge == "light":
            steps += [_Step(challenge, colour=colour) for colour in range(count)]
        else:
            steps += [_Step(challenge, share) for share in _COURSES[count - 1]]
    return steps + [_Step(NEUTRAL)] * last


def _moments(steps: Sequence[_Step], colours: Sequence[str], rng: np.random.Generator, strength: float) -> list[Moment]:
    at_ms, drift = int(rng.integers(0, 120)), np.zeros(9)
    peaks = {name: float(strength * rng.uniform(17, 29)) for name in ("head_left", "head_right")}
    expressed = {name: float(strength * rng.uniform(0.85, 1.0)) for name in ("smile", "blink")}
    moments = []
    for step in steps:
        # People stand still to within a few pixels and degrees: each drift falls back by 0.6 and gets a new push.
        drift = 0.6 * drift + rng.normal(0, (0.9, 0.7, 0.6, 2.5, 2.0, 1.2, 1.2, 0.006, 0.012))
        turn = step.share * (peaks["head_left"] if step.challenge == "head_left" else 0.0)
        turn -= step.share * (peaks["head_right"] if step.challenge == "head_right" else 0.0)
        moments.append(
            Moment(
                challenge=step.challenge,
                at_ms=at_ms,
                colour=step.colour,
                yaw=turn + float(drift[0]),
                pitch=float(drift[1]),
                roll=0.08 * turn + float(drift[2]),
                smile=step.share * expressed["smile"] * (step.challenge == "smile"),
                blink=step.share * expressed["blink"] * (step.challenge == "blink"),
                sway=(float(drift[3]), float(drift[4])),
                shake=(float(drift[5]), float(drift[6])),
                nearer=float(drift[7]),
                light=DARK if step.colour is None else light_of(colours[step.colour], strength),
                exposure=1 + float(drift[8]),
            )
        )
        at_ms += int(rng.integers(250, 450))
    return moments
