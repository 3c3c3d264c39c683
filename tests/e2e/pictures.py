"""Real pictures for many submissions: every one a re-encoding of its own, small enough to be quick."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from stream.demo import attacks
from stream.demo.scenario import astronaut
from stream.events.wire.submissions import NewSubmission

LONG_SIDE = 320


def distinct_pictures(number: int) -> Iterator[bytes]:
    """Real faces and simulated attacks in turn, each turn with another brightness and compression."""
    photos = _photographs()
    for index in range(number):
        turn, which = divmod(index, len(photos))
        yield attacks.jpeg(_shifted(photos[which], turn + 3 * which), quality=60 + turn % 35)


def distinct_submissions(number: int) -> list[NewSubmission]:
    images = list(distinct_pictures(number))
    assert len(set(images)) == number, "every submission has a picture of its own"
    return [submission(image) for image in images]


def submission(image: bytes, **optional: str) -> NewSubmission:
    return NewSubmission(image=image, correlation_id=str(uuid.uuid4()), optional=optional)


@cache
def plain_picture() -> bytes:
    """A small JPEG of the portrait."""
    return attacks.jpeg(_small(attacks.portrait(attacks.decode(astronaut()))), quality=85)


@cache
def _photographs() -> tuple[attacks.Photo, ...]:
    portrait = attacks.portrait(attacks.decode(astronaut()))
    made = (portrait, *(attacks.decode(make(portrait)) for make in attacks.ATTACKS.values()))
    return tuple(_small(photo) for photo in (*made, *_shared()))


def _shared() -> Iterator[attacks.Photo]:
    """Photographs that the machine has for tests, if it has any."""
    folder = os.environ.get("LIVENESS_TEST_IMAGES")
    if folder and Path(folder).is_dir():
        for file in sorted(Path(folder).glob("*.jpg")):
            yield attacks.decode(file.read_bytes())


def _small(photo: attacks.Photo) -> attacks.Photo:
    scale = min(1.0, LONG_SIDE / max(photo.shape[:2]))
    size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shifted(photo: attacks.Photo, by: int) -> attacks.Photo:
    """A little brighter or darker: another picture, the same face."""
    return np.asarray(np.clip(photo.astype(np.int16) + by % 31 - 15, 0, 255), np.uint8)
