"""The same picture in several submissions: what is asked and what is found.

The port, and the fake that ships with it. A pair is found by whichever of the two is met later, and a picture that is
met again finds all that are there by then, so it makes no difference in which order, how late or how often they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

DAY_MS = 86_400_000
#: Hits told of at most, the strongest.
MOST_HITS = 256
#: Hashes are looked up by four bands of sixteen bits, each exactly and with each single bit flipped. Of eight wrong
#: bits, each band may have two; of seven, one band has at most one (Norouzi et al. 2012, multi-index hashing).
MOST_BITS = 7


class PictureMatch(StrEnum):
    """The strongest first."""

    SAME_BYTES = "same_bytes"
    SAME_PIXELS = "same_pixels"
    NEAR_DUPLICATE = "near_duplicate"


_STRENGTH = {kind: rank for rank, kind in enumerate(PictureMatch)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSighting:
    """`bytes_sha256` and `pixels_sha256` in hex: of the file as it came, and of its decoded pixels. `perceptual`: 64
    bits, unsigned, of which pictures that look alike share nearly all."""

    tenant: str | None
    correlation_id: str
    submission_id: str
    session_id: str | None
    at_ms: int
    bytes_sha256: str
    pixels_sha256: str
    perceptual: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHit:
    """Another submission with the picture; `hamming` are the bits in which perceptual hashes differ."""

    correlation_id: str
    submission_id: str
    session_id: str | None
    at_ms: int
    kind: PictureMatch
    hamming: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """`window_ms`: how far back, and for late submissions forward, pictures are searched, in event time.
    `most_lines`: pictures kept under each part of a hash, the newest: a blank picture is everybody's."""

    window_ms: int = 7 * DAY_MS
    most_lines: int = 512

    @property
    def life_ms(self) -> int:
        """A day more than the window, for what comes late."""
        return self.window_ms + DAY_MS


class MediaIndex(Protocol):
    """Calls raise `stream.patience.Unavailable` when the index is away."""

    async def meet(self, sighting: PictureSighting, within_bits: int) -> tuple[PictureHit, ...]:
        """Add the picture and find other submissions with it, the strongest match first, one hit a submission.

        Near duplicates differ in up to `within_bits` of the perceptual hash. Raises ValueError above `MOST_BITS`.
        One round trip when there is none, two when there are some.
        """

    async def learn(self, sightings: Sequence[PictureSighting]) -> None:
        """Add pictures, as `meet` does, and search for nothing."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """How many sightings of a correlation id there are."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every picture of a correlation id; how many sightings there were."""


def strongest(hits: Iterable[PictureHit]) -> tuple[PictureHit, ...]:
    """One a submission, strongest first, then the newest."""
    best: dict[tuple[str, str], PictureHit] = {}
    for hit in hits:
        name = (hit.correlation_id, hit.submission_id)
        best[name] = min(best.get(name, hit), hit, key=_order)
    return tuple(sorted(best.values(), key=_order)[:MOST_HITS])


def _order(hit: PictureHit) -> tuple[int, int, int, str, str]:
    return (_STRENGTH[hit.kind], hit.hamming, -hit.at_ms, hit.correlation_id, hit.submission_id)


def is_own(sighting: PictureSighting, correlation_id: str, submission_id: str) -> bool:
    """By both: another correlation id may use the same submission id, to go unseen."""
    return (correlation_id, submission_id) == (sighting.correlation_id, sighting.submission_id)


def match_of(same_bytes: bool, same_pixels: bool, near: bool) -> PictureMatch | None:
    """The strongest of what is the same."""
    if same_bytes:
        return PictureMatch.SAME_BYTES
    if same_pixels:
        return PictureMatch.SAME_PIXELS
    return PictureMatch.NEAR_DUPLICATE if near else None


def check_bits(within_bits: int) -> None:
    if not 0 <= within_bits <= MOST_BITS:
        raise ValueError(f"near duplicates are found up to {MOST_BITS} bits apart")


class InMemoryMediaIndex:
    """The fake: compares with everything, drops nothing by itself."""

    def __init__(self, plan: MediaPlan | None = None, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.plan = plan or MediaPlan()
        self.sightings: dict[tuple[str | None, str, str, int], PictureSighting] = {}
        self._on_call = on_call

    async def meet(self, sighting: PictureSighting, within_bits: int) -> tuple[PictureHit, ...]:
        self._on_call("meet")
        check_bits(within_bits)
        self._add(sighting)
        hits = (self._hit(sighting, other, within_bits) for other in self.sightings.values())
        return strongest(hit for hit in hits if hit is not None)

    async def learn(self, sightings: Sequence[PictureSighting]) -> None:
        self._on_call("learn")
        for sighting in sightings:
            self._add(sighting)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return sum(name[:2] == (tenant, correlation_id) for name in self.sightings)

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        mine = [name for name in self.sightings if name[:2] == (tenant, correlation_id)]
        for name in mine:
            del self.sightings[name]
        return len(mine)

    def _add(self, sighting: PictureSighting) -> None:
        name = (sighting.tenant, sighting.correlation_id, sighting.submission_id, sighting.at_ms)
        self.sightings[name] = sighting

    def _hit(self, sighting: PictureSighting, other: PictureSighting, within_bits: int) -> PictureHit | None:
        hamming = (sighting.perceptual ^ other.perceptual).bit_count()
        same_bytes = sighting.bytes_sha256 == other.bytes_sha256
        same_pixels = sighting.pixels_sha256 == other.pixels_sha256
        kind = match_of(same_bytes, same_pixels, hamming <= within_bits)
        if kind is None:
            return None
        far = abs(other.at_ms - sighting.at_ms) > self.plan.window_ms
        if far or other.tenant != sighting.tenant or is_own(sighting, other.correlation_id, other.submission_id):
            return None
        return PictureHit(
            correlation_id=other.correlation_id,
            submission_id=other.submission_id,
            session_id=other.session_id,
            at_ms=other.at_ms,
            kind=kind,
            hamming=hamming,
        )
