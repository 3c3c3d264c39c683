"""The frame index: which capture showed a frame first, so that a recorded session can't be played again.

Each frame of an active check is claimed, by its keyed hashes, for the capture that shows it. The first claim of a frame
stays, so that repeats and races give one answer. Near duplicates are the image index's trade (`media_index`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from abuse.pictures.media_keys import KeyedImageHashes

OWNER_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Capture: the frames of one submission under its session. `hashes`: those of each frame, under the key in force,
    which are claimed; `others`: under the other keys in use, under which another capture may have claimed them."""

    tenant: str | None
    correlation_id: str
    session_id: str
    submission_id: str
    hashes: tuple[KeyedImageHashes, ...]
    others: tuple[KeyedImageHashes, ...] = ()

    @property
    def owner(self) -> str:
        """Name of the capture in the index, which tells nobody's ids: 16 hex digits."""
        named = [self.tenant, self.session_id, self.submission_id]
        return hashlib.sha256(orjson.dumps(named)).hexdigest()[:OWNER_LENGTH]

    def frames(self) -> list[tuple[str, str]]:
        """Names of the frames, by kind: `p` the same pixels, `h` the same perceptual hash; each once."""
        return _names(self.hashes)

    def looked_up(self) -> list[tuple[str, str]]:
        """Names of the frames under other keys, likewise."""
        return _names(self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBefore:
    """Frames of a capture that another capture showed first: so many by their pixels, by their perceptual hash; of
    several keys the most under one."""

    pixels: int = 0
    perceptual: int = 0


def _names(hashes: Sequence[KeyedImageHashes]) -> list[tuple[str, str]]:
    pixels = [("p", f"{each.key_id}|{each.pixels:016x}") for each in hashes]
    return list(dict.fromkeys([*pixels, *(("h", f"{each.key_id}|{each.perceptual:016x}") for each in hashes)]))


class FrameIndex(Protocol):
    """The port. Calls raise `config.errors.Unavailable` when the index is away, and may be repeated then."""

    async def claim(self, capture: Capture, at_ms: int) -> ShownBefore:
        """Frames that another capture of the tenant showed first; all others are the capture's own from now on.

        Called by the decide stage before the verdict on an active check; a repeat gives the same answer. `at_ms`: event
        time. One round trip.
        """

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """Number of frames kept for a correlation id; for an erasure."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every frame of a correlation id; return their number. Called by an erasure. May be repeated."""


def shown_before(capture: Capture, owners: Sequence[str | None]) -> ShownBefore:
    """Count by kind of the frames whose owner, in the order of `Capture.frames` and then of `looked_up`, is another
    capture."""
    names = [*capture.frames(), *capture.looked_up()]
    counts = Counter(
        (kind, name.partition("|")[0])
        for (kind, name), owner in zip(names, owners, strict=True)
        if owner is not None and owner != capture.owner
    )
    pixels, perceptual = (max((n for (of, _), n in counts.items() if of == kind), default=0) for kind in ("p", "h"))
    return ShownBefore(pixels=pixels, perceptual=perceptual)


class InMemoryFrameIndex:
    """The fake: expires nothing."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str | None, str, str], tuple[str, str]] = {}

    async def claim(self, capture: Capture, at_ms: int) -> ShownBefore:
        ours = (capture.owner, capture.correlation_id)
        claimed = [self._owners.setdefault((capture.tenant, *name), ours)[0] for name in capture.frames()]
        found = [self._owners.get((capture.tenant, *name)) for name in capture.looked_up()]
        return shown_before(capture, [*claimed, *(owner and owner[0] for owner in found)])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        return len(self._of(tenant, correlation_id))

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        own = self._of(tenant, correlation_id)
        for name in own:
            del self._owners[name]
        return len(own)

    def _of(self, tenant: str | None, correlation_id: str) -> list[tuple[str | None, str, str]]:
        return [name for name, owner in self._owners.items() if (name[0], owner[1]) == (tenant, correlation_id)]
