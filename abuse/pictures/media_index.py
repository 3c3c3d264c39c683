"""The same picture in several submissions: what is asked and what is found.

The port, and the fake that ships with it. A pair is found by whichever of the two is met later, and a picture that is
met again finds all that are there by then, so it makes no difference in which order, how late or how often they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from abuse.event_time import DAY_MS
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.submission_ref import SubmissionRef
from config.policy import Policy

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
class PictureSighting(SubmissionRef):
    """`codes`: the picture's under the key in force, by which it is kept, then under the others it is searched by."""

    tenant: str | None
    codes: tuple[KeyedImageHashes, ...]

    @property
    def kept(self) -> KeyedImageHashes:
        return self.codes[0]

    def under(self, key_id: str) -> KeyedImageHashes | None:
        """The codes that compare with those of this key."""
        return next((each for each in self.codes if each.key_id == key_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHit(SubmissionRef):
    """Another submission with the picture; `hamming` are the bits in which perceptual hashes differ."""

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
    """Calls raise `config.errors.Unavailable` when the index is away."""

    async def enrol(self, sightings: Sequence[PictureSighting]) -> None:
        """Add pictures. Of two that are learned before they are searched for one finds the other."""

    async def search(self, sighting: PictureSighting, within_bits: int) -> tuple[PictureHit, ...]:
        """Other submissions with the picture, which is added already: the strongest match first, one hit a submission.

        Near duplicates differ in up to `within_bits` of the perceptual hash. Raises ValueError above `MOST_BITS`. One
        round trip when there is none, two when there are some.
        """

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


def hit_of(sighting: PictureSighting, other: PictureSighting, within_bits: int) -> PictureHit | None:
    """If another submission, of the same tenant, shows the same."""
    mine, theirs = sighting.under(other.kept.key_id), other.kept
    if mine is None or _is_own(sighting, other):
        return None
    hamming = (mine.perceptual ^ theirs.perceptual).bit_count()
    kind = _match(mine, theirs, hamming <= within_bits)
    if kind is None:
        return None
    return PictureHit(kind=kind, hamming=hamming, **other.told)


def _is_own(sighting: PictureSighting, other: PictureSighting) -> bool:
    """By both: another correlation id may use the same submission id, to go unseen."""
    return (other.correlation_id, other.submission_id) == (sighting.correlation_id, sighting.submission_id)


def _match(one: KeyedImageHashes, other: KeyedImageHashes, near: bool) -> PictureMatch | None:
    """The strongest of what is the same."""
    if one.bytes == other.bytes:
        return PictureMatch.SAME_BYTES
    if one.pixels == other.pixels:
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

    async def search(self, sighting: PictureSighting, within_bits: int) -> tuple[PictureHit, ...]:
        self._on_call("search")
        check_bits(within_bits)
        reached = (other for other in self.sightings.values() if self._reaches(sighting, other))
        hits = (hit_of(sighting, other, within_bits) for other in reached)
        return strongest(hit for hit in hits if hit is not None)

    async def enrol(self, sightings: Sequence[PictureSighting]) -> None:
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

    def _reaches(self, sighting: PictureSighting, other: PictureSighting) -> bool:
        near = abs(other.at_ms - sighting.at_ms) <= self.plan.window_ms
        return near and other.tenant == sighting.tenant


def media_plan(policy: Policy) -> MediaPlan:
    return MediaPlan(window_ms=policy.abuse.media_replay.window_s * 1000)
