"""The image index: the port, what goes in and comes out, and an index in memory.

The later search of two submissions finds the earlier enrolment, and a repeated search finds all that is enrolled by
then; so the order, delay and repetition of submissions make no difference to the pairs found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from abuse.event_time import DAY_MS
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.submission_ref import SubmissionRef
from config.policy import Policy

#: Matches returned by a search, the best: far more than links that a submission may add, and a bound on the cost of a
#: picture that is sent again and again.
MOST_MATCHES = 64
#: Hashes are looked up by four bands of sixteen bits, each exactly and with each single bit flipped. Of eight wrong
#: bits, each band may have two; of seven, one band has at most one (Norouzi et al. 2012, multi-index hashing).
MOST_BITS = 7


class MatchKind(StrEnum):
    """Kinds of matches, best evidence first."""

    SAME_BYTES = "same_bytes"
    SAME_PIXELS = "same_pixels"
    NEAR_DUPLICATE = "near_duplicate"


_RANK = {kind: rank for rank, kind in enumerate(MatchKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledImage(SubmissionRef):
    """A picture to enrol, and to search for. `hashes`: under the key in force, which is stored, then under the other
    keys in use (`MediaKeys.hashes`), searched for only."""

    tenant: str | None
    hashes: tuple[KeyedImageHashes, ...]

    @property
    def stored(self) -> KeyedImageHashes:
        return self.hashes[0]

    def match(self, other: EnrolledImage, within_bits: int) -> ImageMatch | None:
        """How a stored image of the same tenant matches; None for the own submission and for another picture.

        The own submission is told by both ids: another correlation id may use the same submission id to hide.
        """
        theirs = other.stored
        mine = next((each for each in self.hashes if each.key_id == theirs.key_id), None)
        own = (other.correlation_id, other.submission_id) == (self.correlation_id, self.submission_id)
        if mine is None or own:
            return None
        hamming = (mine.perceptual ^ theirs.perceptual).bit_count()
        if mine.bytes == theirs.bytes:
            kind = MatchKind.SAME_BYTES
        elif mine.pixels == theirs.pixels:
            kind = MatchKind.SAME_PIXELS
        elif hamming <= within_bits:
            kind = MatchKind.NEAR_DUPLICATE
        else:
            return None
        return ImageMatch(kind=kind, hamming=hamming, **other.ref_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMatch(SubmissionRef):
    """A submission with the same picture; `hamming`: bits in which the perceptual hashes differ."""

    kind: MatchKind
    hamming: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """`window_ms`: how far back, and for late submissions forward, pictures are searched, in event time.
    `most_lines`: pictures stored under each part of a hash, the newest: a blank picture is sent by everybody."""

    window_ms: int = 7 * DAY_MS
    most_lines: int = 512

    @property
    def life_ms(self) -> int:
        """Retention of a picture: the window, and a day for submissions that come late."""
        return self.window_ms + DAY_MS


class MediaIndex(Protocol):
    """The port. Calls raise `config.errors.Unavailable` when the index is away, and may be repeated then."""

    async def enrol(self, images: Sequence[EnrolledImage]) -> None:
        """Add images; called by the reuse search before `search`, so that of two submissions at the same moment at
        least one finds the other. May be repeated."""

    async def search(
        self, image: EnrolledImage, within_bits: int, most: int = MOST_MATCHES, *, enrol: bool = False
    ) -> tuple[ImageMatch, ...]:
        """Up to `most` other submissions with the picture, best match first, one per submission. The image has been
        enrolled, or is with `enrol`, before anything is searched: on a single server in the same round trip.

        Near duplicates differ in up to `within_bits` of the perceptual hash. Raises ValueError above `MOST_BITS`. One
        round trip without a match, two with any.
        """

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """Number of a correlation id's enrolled images; for an erasure."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every image of a correlation id; return their number. Called by an erasure. May be repeated."""


def ranked(matches: Iterable[ImageMatch | None], most: int) -> tuple[ImageMatch, ...]:
    """The best match of each submission, up to `most`; best first, then the newest."""
    best: dict[tuple[str, str], ImageMatch] = {}
    for match in matches:
        if match is not None:
            name = (match.correlation_id, match.submission_id)
            best[name] = min(best.get(name, match), match, key=_order)
    return tuple(sorted(best.values(), key=_order)[:most])


def _order(match: ImageMatch) -> tuple[int, int, int, str, str]:
    return (_RANK[match.kind], match.hamming, -match.at_ms, match.correlation_id, match.submission_id)


def check_bits(within_bits: int) -> None:
    if not 0 <= within_bits <= MOST_BITS:
        raise ValueError(f"near duplicates are found up to {MOST_BITS} bits apart")


class InMemoryMediaIndex:
    """The fake: compares with every image and expires none."""

    def __init__(self, plan: MediaPlan | None = None) -> None:
        self.plan = plan or MediaPlan()
        self.images: dict[tuple[str | None, str, str, int], EnrolledImage] = {}

    async def search(
        self, image: EnrolledImage, within_bits: int, most: int = MOST_MATCHES, *, enrol: bool = False
    ) -> tuple[ImageMatch, ...]:
        if enrol:
            await self.enrol([image])
        check_bits(within_bits)
        reached = (
            other
            for other in self.images.values()
            if other.tenant == image.tenant and abs(other.at_ms - image.at_ms) <= self.plan.window_ms
        )
        return ranked((image.match(other, within_bits) for other in reached), most)

    async def enrol(self, images: Sequence[EnrolledImage]) -> None:
        for image in images:
            self.images[image.tenant, image.correlation_id, image.submission_id, image.at_ms] = image

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        return sum(name[:2] == (tenant, correlation_id) for name in self.images)

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        own = [name for name in self.images if name[:2] == (tenant, correlation_id)]
        for name in own:
            del self.images[name]
        return len(own)


def media_plan(policy: Policy) -> MediaPlan:
    return MediaPlan(window_ms=policy.abuse.media_replay.window_s * 1000)
