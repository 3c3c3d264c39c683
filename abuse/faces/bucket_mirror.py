"""The mirror: a bucket's codes in a worker's memory, which tell whether the bucket holds a near face at all.

Most submissions show a stranger. Redis' approximate search looks at thousands of faces in every bucket to find none;
here one look at all codes rules the bucket out. Each face has a sketch, a bit for each of its first numbers: above or
below the bucket's mean. The share of bits that two sketches differ in follows the angle between the two faces, seen
from the mean (Charikar 2002, "Similarity estimation techniques from rounding algorithms"): a template's numbers are
turned at random by its protection. Faces with a like sketch are then compared by their codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, pi, sqrt
from typing import cast

import numpy as np
from numpy.typing import NDArray

from abuse.faces.face_codes import Codes, codes_from, layout, owner_hash
from abuse.faces.protected_template import Distance, ProtectedTemplate

#: Numbers of a template that have a bit in its sketch.
SKETCHED = 128
#: Bits by which a near face's sketch may differ further than expected, in standard deviations.
SPREAD = 3.0
#: Codes read at once: 1.3 MB for 128 numbers, 5 to 16 ms of the worker and 0.1 ms of Redis (measured).
PAGE = 8192
#: Faces with a like sketch that are compared at most (0.2 ms); with more of them Redis searches. Of 43,000 strangers
#: 300 are alike within 0.486, where 300,000 are compared, and 7,400 within 0.55 (measured, docs/BENCHMARK.md).
MOST_COMPARED = 2048
#: Rounding moves a distance by less than so many of a code's steps (measured on 32 to 512 numbers: 1.3 at most).
STEPS = 3.0
#: Faces that are looked for one by one, 5 us each among 43,000; for more of them all are sorted, in 3.7 ms (measured).
FEW = 256
#: By how much a mirror grows that is full.
GROWTH = 1.25

Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CodesWanted:
    """Codes that a mirror asks for: from byte `start` to `stop`, both included, the first of which are `last`."""

    start: int
    stop: int
    last: bytes


class BucketMirror:
    """Codes of one bucket as read so far, of `faces` faces. `whole`: whether these were all of the bucket's at the last
    look. `unmatched`: looks in a row that read to the end and found other faces than the bucket's. `room`: faces
    expected."""

    def __init__(self, dimensions: int, by: Distance, room: int = 0) -> None:
        self.whole, self.unmatched = False, 0
        self._dimensions, self._by = dimensions, by
        self._size = layout(dimensions).itemsize
        self._end, self._last = 0, b""
        self._used = self._centred = self.faces = 0
        self._held: NDArray[np.void] = np.zeros(room, _held(dimensions))
        self._names: NDArray[np.uint64] = np.zeros(room, "<u8")
        self._sketches: NDArray[np.uint64] = np.zeros((_words(dimensions), room), "<u8")
        self._centre: Numbers = np.zeros(dimensions, "<f4")

    @property
    def nbytes(self) -> int:
        return self._held.nbytes + self._names.nbytes + self._sketches.nbytes

    def wanted(self) -> CodesWanted:
        """The next codes, and once more the last that was read: were the codes lost or begun anew, it is another."""
        start = self._end - len(self._last)
        return CodesWanted(start, self._end + PAGE * self._size - 1, self._last)

    def take(self, wanted: CodesWanted, packed: bytes, size: int) -> None:
        """Add the codes that were asked for; the bucket had `size` faces. Other looks may have come in between. Raises
        ValueError for bytes no worker wrote."""
        codes = codes_from(packed, self._dimensions)
        behind = (self._end - wanted.start) // self._size
        goes_on = packed.startswith(wanted.last)
        fresh = codes[behind:] if goes_on else codes[:0]
        if len(fresh):
            self._add(fresh)
            self._end, self._last = wanted.start + len(packed), packed[-self._size :]
        # Faces that came after this look are no fault of it; nor is a page that another look at the same time has read.
        later, to_end = max(0, behind - len(codes)), len(packed) <= wanted.stop - wanted.start
        self.whole = goes_on and to_end and self.faces - later == size
        self.unmatched = 0 if self.whole or (goes_on and not to_end) else self.unmatched + 1

    def may_hold(self, probe: ProtectedTemplate, within: float, correlation_id: str) -> bool:
        """Whether a face of another correlation id may lie within this distance of the probe. Of 800 faces at 0.8 to
        1.0 times the distance none was missed (measured among 43,000 made-up ones)."""
        point = self._point(probe)
        reach = sqrt(2 * within) if self._by is Distance.COSINE else within
        alike = np.flatnonzero(self._differing(point) <= self._most_differing(point, reach))
        if len(alike) > MOST_COMPARED:
            return True
        held = self._held[alike]
        along = held["step"] * (held["numbers"].astype("<f4") @ point)
        apart = np.sqrt(np.maximum(0, held["square"] - 2 * along + point @ point))
        near = held["owner"][apart <= reach + STEPS * held["step"]]
        return bool((near != owner_hash(correlation_id)).any())

    def _differing(self, point: Numbers) -> NDArray[np.uint8]:
        """Bits in which each face's sketch differs from the point's."""
        own = self._sketched(point[None])
        differing = np.zeros(self._used, np.uint8)
        for held, bits in zip(self._sketches, own, strict=True):
            differing += np.bitwise_count(held[: self._used] ^ bits)
        return differing

    def _most_differing(self, point: Numbers, reach: float) -> float:
        """Bits in which a face within reach differs at most, if it is as far from the mean as the point is."""
        bits = min(self._dimensions, SKETCHED)
        away = float(np.sqrt(((point - self._centre) ** 2).sum()))
        if reach >= away:
            return bits
        share = 2 * asin(reach / (2 * away)) / pi
        return bits * share + SPREAD * sqrt(bits * share * (1 - share))

    def _add(self, codes: Codes) -> None:
        codes = codes[codes["face"] != 0]
        self.faces += self._unknown(codes["face"])
        used = self._used + len(codes)
        self._make_room(used)
        fresh = slice(self._used, used)
        self._held[fresh], self._names[fresh], self._used = self._to_hold(codes), codes["face"], used
        if used >= 2 * self._centred:
            self._centre, self._centred, fresh = self._mean(), used, slice(0, used)
        self._sketches[:, fresh] = self._sketched(_points(self._held[fresh]))

    def _make_room(self, used: int) -> None:
        if used > len(self._held):
            more = int(used * GROWTH) - len(self._held)
            self._held = np.concatenate([self._held, np.zeros(more, self._held.dtype)])
            self._names = np.concatenate([self._names, np.zeros(more, "<u8")])
            self._sketches = np.concatenate([self._sketches, np.zeros((len(self._sketches), more), "<u8")], axis=1)

    def _to_hold(self, codes: Codes) -> NDArray[np.void]:
        """With the cosine distance a face's length doesn't count: then it is 1."""
        held = np.zeros(len(codes), self._held.dtype)
        for name in ("owner", "numbers"):
            held[name] = codes[name]
        lengths = np.sqrt((codes["numbers"].astype("<f4") ** 2).sum(axis=1))
        held["step"] = codes["scale"] if self._by is Distance.EUCLIDEAN else 1 / np.maximum(1, lengths)
        held["square"] = (held["step"] * lengths) ** 2
        return held

    def _mean(self) -> Numbers:
        held = self._held[: self._used]
        return cast(Numbers, _points(held).mean(axis=0)) if len(held) else self._centre

    def _unknown(self, names: NDArray[np.uint64]) -> int:
        """How many of these faces have no code here yet: a face that is enrolled again has two."""
        held = self._names[: self._used]
        if len(names) > FEW:
            return len(np.setdiff1d(names, held))
        return len({int(name) for name in names if not (held == name).any()})

    def _sketched(self, points: Numbers) -> NDArray[np.uint64]:
        """Sketches (words of 64 bits, points)."""
        above = np.packbits((points > self._centre)[:, :SKETCHED], axis=1)
        padded = np.zeros((len(points), 8 * len(self._sketches)), np.uint8)
        padded[:, : above.shape[1]] = above
        return np.ascontiguousarray(padded.view("<u8").T)

    def _point(self, probe: ProtectedTemplate) -> Numbers:
        """The probe's numbers (dimensions,), as faces are compared."""
        point = probe.halves if self._by is Distance.EUCLIDEAN else probe.halves / np.sqrt((probe.halves**2).sum())
        return cast(Numbers, point.astype("<f4"))


def nbytes_of(faces: int, dimensions: int) -> int:
    """Bytes of a mirror that is begun for so many faces."""
    return faces * (_held(dimensions).itemsize + 8 * (1 + _words(dimensions)))


def _words(dimensions: int) -> int:
    """Words of a sketch."""
    return -(-min(dimensions, SKETCHED) // 64)


def _held(dimensions: int) -> np.dtype[np.void]:
    """Fields of what is held of a code: a face's numbers are `step` times `numbers`, `square` their length squared."""
    return np.dtype([("owner", "<u8", (2,)), ("step", "<f4"), ("square", "<f4"), ("numbers", "i1", (dimensions,))])


def _points(held: NDArray[np.void]) -> Numbers:
    """The faces' numbers (faces, dimensions)."""
    return cast(Numbers, held["numbers"].astype("<f4") * held["step"][:, None])
