"""Selfie files of the measured sizes.

The only portrait that ships with the dependencies is 512 pixels wide, so larger files are made from it:
enlarged, given the grain of a small sensor and stored as JPEG of quality 90. Enlarging alone would give files
a fraction of the size of a real selfie, and decoding costs by the byte as well as by the pixel: the grain is
set so that the files weigh what phones' files do (about 0.25, 0.55 and 2.4 MB). Face and framing stay those of
the portrait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stream.demo import attacks
from stream.demo.scenario import astronaut

QUALITY = 90
#: Different grain in each, so that no cache of any kind sees the same file every time.
COPIES = 4
#: Head and shoulders at 3:4 in scikit-image's 512x512 astronaut: rows, columns.
_SELFIE = (slice(0, 320), slice(105, 345))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of picture; `grain` is the standard deviation of the noise in grey levels, on chroma half of it."""

    name: str
    width: int
    height: int
    grain: float


SIZES: dict[str, Size] = {
    size.name: size
    for size in (
        Size(name="720x960", width=720, height=960, grain=8.0),
        Size(name="1080x1440", width=1080, height=1440, grain=8.0),
        Size(name="12MP", width=3024, height=4032, grain=3.6),
    )
}


def from_portrait(size: Size) -> list[bytes]:
    """Files made from the portrait, `COPIES` of them, the same bytes every time."""
    portrait = attacks.decode(astronaut())[_SELFIE]
    enlarged = cv2.resize(portrait, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return [
        attacks.jpeg(_with_grain(np.asarray(enlarged, np.uint8), size.grain, seed), quality=QUALITY)
        for seed in range(COPIES)
    ]


def from_files(size: Size, files: Sequence[Path]) -> list[bytes]:
    """Files made from the user's pictures: scaled to the long side of `size`, stored the same way, no grain added."""
    return [attacks.jpeg(_fit(attacks.decode(file.read_bytes()), size), quality=QUALITY) for file in files]


def _fit(photo: attacks.Photo, size: Size) -> attacks.Photo:
    scale = max(size.width, size.height) / max(photo.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method), np.uint8)


def _with_grain(photo: attacks.Photo, grain: float, seed: int) -> attacks.Photo:
    random = np.random.default_rng(seed)
    ycc = cv2.cvtColor(photo, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    noise = random.standard_normal(photo.shape, np.float32) * np.float32(grain)
    ycc += noise * np.array([1.0, 0.5, 0.5], np.float32)
    noisy = np.clip(ycc, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(noisy, cv2.COLOR_YCrCb2BGR), np.uint8)
