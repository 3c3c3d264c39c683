"""Protected templates as the index stores them, and the distances between two.

Vectors are little-endian floats, compared by the euclidean or the cosine distance, as their model was trained. The
index stores two bytes a number: half precision moves a distance by up to 0.0003 (measured) where thresholds are near
0.5, and a probe is rounded in the same way, so that a distance is the same in both directions.
"""

from __future__ import annotations

import math
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
#: Error that Redis' eight-bit vectors may add to a score (0 to 1). Measured on 64 to 512 numbers: at most 0.0017 in
#: random directions, 0.0026 with most of the length in one number (which a keyed rotation spreads).
SCORE_SLACK = 0.005


class Distance(StrEnum):
    EUCLIDEAN = "euclidean"
    COSINE = "cosine"


@dataclass(frozen=True)
class ProtectedTemplate:
    """A template rotated with the key `key_id`. `vector`: float32, little-endian, at least one number.

    Raises ValueError for a malformed name and for an empty, infinite or zero vector.
    """

    model: str
    key_id: str
    vector: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MODEL.fullmatch(self.model) or not KEY_ID.fullmatch(self.key_id):
            raise ValueError("a template names its model and key in letters, digits, '.', '_' and '-'")
        if not self.vector or len(self.vector) % 4:
            raise ValueError("a template is a row of 32-bit floats")
        halves = self.halves
        if not np.isfinite(halves).all() or not halves.any():
            raise ValueError("a template's numbers are finite, not all zero, and below 65504")

    @property
    def dimensions(self) -> int:
        return len(self.vector) // 4

    @cached_property
    def halves(self) -> Vector:
        """The numbers as the index stores them, rounded to half precision; float64 (dimensions,)."""
        with np.errstate(over="ignore"):
            return np.frombuffer(self.vector, "<f4").astype("<f2").astype(np.float64)

    @cached_property
    def length(self) -> float:
        return float(np.sqrt((self.halves**2).sum()))

    @property
    def packed(self) -> bytes:
        """Bytes for storage, two a number (float16, little-endian)."""
        return self.halves.astype("<f2").tobytes()


def template_from(model: str, key_id: str, packed: bytes) -> ProtectedTemplate:
    """The template of `packed` bytes; raises ValueError."""
    return ProtectedTemplate(model, key_id, np.frombuffer(packed, "<f2").astype("<f4").tobytes())


def distances(probe: ProtectedTemplate, others: Sequence[ProtectedTemplate], by: Distance) -> list[float]:
    """Distance of each template from the probe; all have one model and length."""
    if not others:
        return []
    gallery, mine = np.stack([other.halves for other in others]), probe.halves
    if by is Distance.EUCLIDEAN:
        return [float(each) for each in np.sqrt(((gallery - mine) ** 2).sum(axis=1))]
    lengths = np.sqrt((gallery**2).sum(axis=1)) * np.sqrt((mine**2).sum())
    return [float(each) for each in 1.0 - (gallery * mine).sum(axis=1) / lengths]


def least_score(probe: ProtectedTemplate, within: float, by: Distance) -> float:
    """A lower bound of the score (1 + cosine) / 2 of every vector within that distance of the probe.

    The other vectors' lengths don't matter: seen from the origin, a ball of radius r around a point at distance a
    covers the directions within asin(r / a), and with r >= a every direction.
    """
    if by is Distance.COSINE:
        cosine = 1.0 - within
    else:
        share = within / probe.length
        cosine = math.sqrt(1.0 - share**2) if share < 1.0 else -1.0
    return max(0.0, (1.0 + cosine) / 2 - SCORE_SLACK)
