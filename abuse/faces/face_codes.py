"""Codes of faces: protected templates in eight bits a number, as Redis keeps them beside a bucket. Pure.

A bucket's codes stand one behind the other in the order of enrolment, so that a worker which has read some reads on
from there (`bucket_mirror`). Nothing is ever moved: the code of a face that is forgotten is overwritten with zeros.
"""

from __future__ import annotations

import struct
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from abuse.faces.protected_template import ProtectedTemplate

#: Largest of the eight-bit numbers.
FULL_SCALE = 127
#: No template has numbers beyond half precision (`ProtectedTemplate`): 65504.
LARGEST_SCALE = 65504 / FULL_SCALE * (1 + 1e-6)
_HEAD = struct.Struct("<16sQf")
Codes = NDArray[np.void]


@cache
def layout(dimensions: int) -> np.dtype[np.void]:
    """Fields of a code: `owner` and `face` are hashes of the correlation id and of both ids, `face` is 0 for a code
    that was overwritten; a template's numbers are `scale` times `numbers`."""
    return np.dtype([("owner", "<u8", (2,)), ("face", "<u8"), ("scale", "<f4"), ("numbers", "i1", (dimensions,))])


def code_of(correlation_id: str, submission_id: str, template: ProtectedTemplate) -> bytes:
    """The code of an enrolled face; the same bytes for the same face."""
    vector = template.halves
    scale = float(np.abs(vector).max()) / FULL_SCALE
    numbers = np.rint(vector / scale).astype("i1").tobytes()
    return _HEAD.pack(_digest(correlation_id, 16), face_hash(correlation_id, submission_id), scale) + numbers


def codes_from(packed: bytes, dimensions: int) -> Codes:
    """Codes in their order, those that were overwritten among them. Raises ValueError for bytes no worker wrote."""
    codes = np.frombuffer(packed, layout(dimensions))
    if not ((codes["scale"] >= 0) & (codes["scale"] <= LARGEST_SCALE)).all():
        raise ValueError("a code's scale is that of a template in half precision")
    return codes


def owner_hash(correlation_id: str) -> NDArray[np.uint64]:
    """128 bits (2,): nobody finds two correlation ids with the same hash, one of which hides the other's face."""
    return np.frombuffer(_digest(correlation_id, 16), "<u8")


def face_hash(correlation_id: str, submission_id: str) -> int:
    return int.from_bytes(_digest(f"{correlation_id} {submission_id}", 8), "little") or 1


def _digest(text: str, size: int) -> bytes:
    return blake2b(text.encode(), digest_size=size).digest()
