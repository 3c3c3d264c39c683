"""Photographs that sequences can be rendered from: the one that ships, and those that the machine has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors.face_mesh import pose_of
from stream.demo import attacks, scenario
from tests import photographs
from tests.sequences.sitter import Photo, framing_scale, mesh

#: Degrees from straight ahead up to which a photograph is frontal; chins are often held high or low on portraits.
_MOST_YAW, _MOST_PITCH, _MOST_ROLL = 6.0, 15.0, 10.0
#: Fewest pixels around the face's box as shares of its size: hair, ears and neck go with the head.
_LEAST_AROUND = 0.2
_LONG_SIDE = 1600


@cache
def portrait() -> Photo:
    """The photograph that is always there: scikit-image's astronaut, uint8 (512, 512, 3) BGR."""
    return np.asarray(attacks.decode(scenario.astronaut()))


def sources() -> Iterator[tuple[str, Photo]]:
    """Name and photograph (uint8 BGR) of each frontal portrait of one person on this machine, each once, in order of
    their names. Skips the test where there is none."""
    folders = (photographs.folder(), photographs.ROOT_OF_SHARED / "pad-dev/bona_fide")
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.jpg"))]
    found = 0
    for name, photo in _once(files):
        if suits(photo):
            found += 1
            yield name, photo
    if not found:
        pytest.skip(photographs.NO_PHOTOGRAPHS)


def suits(photo: Photo) -> bool:
    """Whether a sequence can be rendered from the photograph: one face, frontal, with room around, and so large that no
    frame is a magnification."""
    faces = mesh().find(photo)
    if len(faces) != 1:
        return False
    pose, box = pose_of(faces[0].transform), faces[0].box
    height, width = photo.shape[:2]
    across, down = _LEAST_AROUND * box.width, _LEAST_AROUND * box.height
    roomy = across <= box.left and box.right <= width - across and down <= box.top and box.bottom <= height - down
    frontal = abs(pose.yaw) <= _MOST_YAW and abs(pose.pitch) <= _MOST_PITCH and abs(pose.roll) <= _MOST_ROLL
    return roomy and frontal and framing_scale(faces[0]) <= 1


def _once(files: list[Path]) -> Iterator[tuple[str, Photo]]:
    """Photographs of files, none twice, scaled to at most 1600 pixels."""
    seen = set()
    for file in files:
        stored = file.read_bytes()
        digest = hashlib.sha256(stored).digest()
        photo = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)
        if photo is None or digest in seen:
            continue
        seen.add(digest)
        scale = min(1.0, _LONG_SIDE / max(photo.shape[:2]))
        yield file.stem, np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
