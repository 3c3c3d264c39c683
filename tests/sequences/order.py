"""Attacks on a session's order and time: frames of genuine footage, sent as what they are not.

An attacker with the frames of a person chooses what to send under the labels and at the times of this session.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np

from config.catalogues.challenges import CHALLENGES, COLOURS, LIGHT
from stream.demo import attacks
from tests.sequences.footage import QUALITY, filmed, genuine, seen_by_camera
from tests.sequences.light import DARK
from tests.sequences.plan import Moment, planned
from tests.sequences.sequence import AskedSession, RenderedFrame, attack
from tests.sequences.sitter import Photo, sitter_of

_T = TypeVar("_T")


@attack
def replayed_session(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Genuine sequence of another session, sent with this session's labels. `strength` is how much the two happen to
    agree: at 0 no challenge and no colour stands in its place, at 1 all but two of each do. A session with nothing to
    change but one challenge gets another challenge."""
    labels = planned(asked.challenges, asked.colours, rng)
    done, shown = asked.challenges, _other_order(asked.colours, COLOURS, asked.strength, rng)
    if set(done) != {LIGHT}:
        done = _other_order(done, CHALLENGES, asked.strength, rng)
    recorded = planned(done, shown, rng)
    while len(recorded) != len(labels):
        recorded = planned(done, shown, rng)
    sitter = sitter_of(photo)
    moments = [
        replace(moment, challenge=label.challenge, at_ms=label.at_ms, colour=label.colour)
        for moment, label in zip(recorded, labels, strict=True)
    ]
    return filmed(moments, lambda moment: seen_by_camera(sitter, moment), rng)


@attack
def reordered(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Genuine frames shuffled in time, labels and times as they were. `strength`: at 0 all frames change places, at 1
    two of different challenges or colours."""
    real = _real(photo, asked)
    labels = [(frame.challenge, frame.colour) for frame in real]
    order = tuple(range(len(real)))
    while [labels[place] for place in order] == labels:
        order = _moved(order, asked.strength, rng)
    return [replace(frame, image=real[place].image) for frame, place in zip(real, order, strict=True)]


@attack
def frozen(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """A single frame under all labels. `strength`: at 0 the same bytes, above it encoded anew at another quality each
    time, with up to 3 pixels of shift and 2 grey levels of new noise."""
    real = _real(photo, asked)
    return [replace(frame, image=_again(real[0].image, asked.strength, rng)) for frame in real]


@attack
def repeated_frames(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Genuine sequence in which earlier frames come again in the place of others. `strength`: at 0 half of the frames
    are such, with the same bytes; at 1 one is, and disguised as in `frozen`."""
    real = _real(photo, asked)
    count = max(1, round(len(real) / 2 * (1 - asked.strength)))
    places = set((1 + rng.permutation(len(real) - 1)[:count]).tolist())
    originals = [place for place in range(len(real)) if place not in places]
    frames = list(real)
    for place in sorted(places):
        earlier = [original for original in originals if original < place]
        frames[place] = replace(real[place], image=_again(real[int(rng.choice(earlier))].image, asked.strength, rng))
    return frames


@attack
def wrong_order(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Challenges done in another order, and labelled as what they are. `strength` as for `replayed_session`. Colours
    come in the session's order. Raises ValueError for a session of one challenge."""
    if len(set(asked.challenges)) < 2:
        raise ValueError("one challenge has one order")
    done = _other_order(asked.challenges, CHALLENGES, asked.strength, rng)
    return _real(photo, replace(asked, challenges=done))


@attack
def missing_challenge(photo: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Genuine sequence in which one challenge is left out. `strength`: below 0.5 there are no frames of the challenge;
    from there on there are, of a neutral face without any screen's light."""
    left_out = asked.challenges[int(rng.integers(len(asked.challenges)))]
    sitter = sitter_of(photo)
    moments = list(planned(asked.challenges, asked.colours, rng))
    if asked.strength < 0.5:
        moments = [moment for moment in moments if moment.challenge != left_out]
    moments = [_idle(moment) if moment.challenge == left_out else moment for moment in moments]
    return filmed(moments, lambda moment: seen_by_camera(sitter, moment), rng)


@attack
def spliced(photo: Photo, second: Photo, asked: AskedSession, rng: np.random.Generator) -> Iterable[RenderedFrame]:
    """Sequence in which a second person does part of the challenges. `strength`: at 0 the second does all
    but the neutral frames, before another background; from 0.5 on before the first one's, and at 1 one challenge."""
    one, other = sitter_of(photo), sitter_of(second)
    count = max(1, round(len(asked.challenges) * (1 - asked.strength)))
    theirs = {asked.challenges[int(place)] for place in rng.permutation(len(asked.challenges))[:count]}
    plate = one.plate if asked.strength >= 0.5 else other.plate
    return filmed(
        planned(asked.challenges, asked.colours, rng),
        lambda moment: (
            seen_by_camera(other, moment, plate) if moment.challenge in theirs else seen_by_camera(one, moment)
        ),
        rng,
    )


def _real(photo: Photo, asked: AskedSession) -> tuple[RenderedFrame, ...]:
    return _filmed_once(photo.tobytes(), photo.shape, asked.challenges, asked.colours, asked.seed)


@lru_cache(maxsize=4)
def _filmed_once(
    pixels: bytes, shape: tuple[int, ...], challenges: tuple[str, ...], colours: tuple[str, ...], seed: int
) -> tuple[RenderedFrame, ...]:
    """Frames of a genuine sequence, the same for several attacks on one session."""
    photo = np.frombuffer(pixels, np.uint8).reshape(shape)
    return genuine(photo, challenges=challenges, colours=colours, seed=seed).frames


def _other_order(
    names: tuple[str, ...], known: tuple[str, ...], strength: float, rng: np.random.Generator
) -> tuple[str, ...]:
    """Names of which 2 (strength 1) to all (strength 0) stand in another's place; another of those known in place of a
    single one."""
    if len(set(names)) < 2:
        others = [name for name in known if name not in names]
        return tuple(others[int(rng.integers(len(others)))] for _ in names)
    found = names
    while found == names:
        found = _moved(names, strength, rng)
    return found


def _moved(given: tuple[_T, ...], strength: float, rng: np.random.Generator) -> tuple[_T, ...]:
    """Things of which 2 (strength 1) to all (strength 0) have changed places in a ring."""
    chosen = np.sort(rng.permutation(len(given))[: max(2, round(len(given) * (1 - strength)))])
    moved = list(given)
    for to, come in zip(chosen, np.roll(chosen, 1), strict=True):
        moved[to] = given[come]
    return tuple(moved)


def _again(image: bytes, strength: float, rng: np.random.Generator) -> bytes:
    """A frame that was there before: its bytes at strength 0, else encoded anew with shift and noise."""
    if strength <= 0:
        return image
    picture = attacks.decode(image)
    right, down = rng.uniform(-3, 3, 2) * strength
    place = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(picture, place, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    noisy = moved + 2 * strength * rng.standard_normal(picture.shape, np.float32)
    return attacks.jpeg(np.clip(noisy, 0, 255).astype(np.uint8), quality=QUALITY - int(rng.integers(2, 20)))


def _idle(moment: Moment) -> Moment:
    """Moment in which a person does nothing and no screen lights them; small turns stay."""
    turn = min(abs(moment.yaw), 1.5) * (1 if moment.yaw > 0 else -1)
    return replace(moment, yaw=turn, roll=min(max(moment.roll, -1.5), 1.5), smile=0.0, blink=0.0, light=DARK)
