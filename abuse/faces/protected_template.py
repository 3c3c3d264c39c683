"""A face as the index holds it: a transformed template, and how far two of them are apart.

Vectors are little-endian floats; a model is compared by the euclidean or the cosine distance, whichever it was trained
for. The index keeps two bytes a number: half precision moves a distance by up to 0.0003 (measured) where faces are
told apart at 0.5, and a probe is rounded in the same way, so that two faces have one distance whoever is asked about
the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from abuse.keys.key_periods import KEY_ID

Vector: TypeAlias = NDArray[np.float64]

MODEL = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")
#: What Redis' eight-bit vectors may take from a score (0 to 1). Measured on 64 to 512 numbers: at most 0.0017 in random
#: directions, 0.0026 with most of the length in one number (which a keyed transform spreads).
SCORE_SLACK = 0.005


class Distance(StrEnum):
    EUCLIDEAN = "euclidean"
    COSINE = "cosine"


@dataclass(frozen=True)
class ProtectedTemplate:
    """A template transformed with the key `key_id`. `vector`: float32, little-endian, any length but zero.

    Raises ValueError for what an index can't hold: a malformed name, an empty, infinite or zero vector.
    """

    model: str
    key_id: str
    vector: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MODEL.fullmatch(self.model) or not KEY_ID.fullmatch(self.key_id):
            raise ValueError("a face print names its model and key in letters, digits, '.', '_' and '-'")
        if not self.vector or len(self.vector) % 4:
            raise ValueError("a face print is a row of 32-bit floats")
        halves = self.halves
        if not np.isfinite(halves).all() or not halves.any():
            raise ValueError("a face print's numbers are finite, not all zero, and below 65504")

    @property
    def dimensions(self) -> int:
        return len(self.vector) // 4

    @cached_property
    def halves(self) -> Vector:
        """The numbers as the index keeps them."""
        with np.errstate(over="ignore"):
            return np.frombuffer(self.vector, "<f4").astype("<f2").astype(np.float64)

    @property
    def packed(self) -> bytes:
        """Two bytes a number."""
        return self.halves.astype("<f2").tobytes()


def print_from(model: str, key_id: str, packed: bytes) -> ProtectedTemplate:
    """The inverse of `packed`; raises ValueError."""
    return ProtectedTemplate(model, key_id, np.frombuffer(packed, "<f2").astype("<f4").tobytes())


def distances(probe: ProtectedTemplate, others: Sequence[ProtectedTemplate], by: Distance) -> list[float]:
    """How far each is from the probe; all are of one model and length."""
    if not others:
        return []
    gallery, mine = np.stack([other.halves for other in others]), probe.halves
    if by is Distance.EUCLIDEAN:
        return [float(each) for each in np.sqrt(((gallery - mine) ** 2).sum(axis=1))]
    lengths = np.sqrt((gallery**2).sum(axis=1)) * np.sqrt((mine**2).sum())
    return [float(each) for each in 1.0 - (gallery * mine).sum(axis=1) / lengths]


def least_score(probe: ProtectedTemplate, within: float, by: Distance) -> float:
    """The score (1 + cosine) / 2 that everything within that distance of the probe has, or more.

    Nothing need be known of the others' lengths: seen from the origin, a ball of radius r around a point at distance
    a covers the directions within asin(r / a) of it, and with r >= a every direction.
    """
    if by is Distance.COSINE:
        cosine = 1.0 - within
    else:
        share = within / float(np.sqrt((probe.halves**2).sum()))
        cosine = float(np.sqrt(1.0 - share**2)) if share < 1.0 else -1.0
    return max(0.0, (1.0 + cosine) / 2 - SCORE_SLACK)
