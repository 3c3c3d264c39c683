"""Keyed image hashes: the index alone can't confirm that a known picture is in it.

An exact hash becomes an HMAC. A perceptual hash must still be compared bit by bit, so its bits are put in a secret
order and some, secretly chosen, flipped: every distance stays the same, and a single hash reveals nothing. Order and
flips differ between tenants and keys.

As with faces (`template_protection`), distances inside one tenant stay visible, and the secret, or enough pictures
known together with their rows, undoes the transformation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import StringConstraints

from abuse.keys.key_periods import KEY_ID, HashKey, KeyPeriods
from config.strict_json import Bits64, StrictJson

BITS = 64
MASKS_REMEMBERED = 1024
KeyId = Annotated[str, StringConstraints(pattern=KEY_ID.pattern)]
#: For each bit of a hash, lowest first, the bit that it becomes; then the bits to flip. Small and quickly made: an
#: attacker who names a new tenant with each submission has a mask made each time.
_Mask = tuple[tuple[int, ...], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedImageHashes(StrictJson):
    """The hashes of one picture under one key, 64 bits each."""

    key_id: KeyId
    bytes: Bits64
    pixels: Bits64
    perceptual: Bits64


class MediaKeys:
    """The hash keys of an installation, applied to hashes of pictures. `reach_ms`: how far before and after a
    submission pictures are searched. Raises ValueError unless exactly one key is in force from 0."""

    def __init__(self, keys: Sequence[HashKey], reach_ms: int) -> None:
        self._periods = KeyPeriods(keys)
        self._reach_ms = reach_ms
        self._mask = lru_cache(MASKS_REMEMBERED)(self._made)

    def hashes(
        self, tenant: str | None, bytes_sha256: str, pixels_sha256: str, perceptual: int, at_ms: int
    ) -> tuple[KeyedImageHashes, ...]:
        """The hashes under the key in force, which are stored, then under every other key in use within reach.

        `bytes_sha256`, `pixels_sha256`: hex of either case. `perceptual`: 64 bits. `at_ms`: event time.
        """
        return tuple(
            KeyedImageHashes(
                key_id=key.id,
                bytes=_exact(key, "bytes", tenant, bytes_sha256),
                pixels=_exact(key, "pixels", tenant, pixels_sha256),
                perceptual=_masked(self._mask(key.id, tenant), perceptual),
            )
            for key in self._periods.in_use(at_ms, self._reach_ms)
        )

    def _made(self, key_id: str, tenant: str | None) -> _Mask:
        key = self._periods.of(key_id)
        message = f"liveness picture mask 1\x00{key_id}\x00{tenant or ''}".encode()
        seed = hmac.digest(key.secret, message, "sha256")
        stream = hashlib.shake_256(seed).digest(8 * BITS + 8)
        places = sorted(range(BITS), key=lambda bit: stream[8 * bit : 8 * bit + 8])
        return tuple(1 << place for place in places), int.from_bytes(stream[-8:], "big")


def _exact(key: HashKey, kind: str, tenant: str | None, sha256: str) -> int:
    message = f"{kind}\x00{tenant or ''}\x00{sha256.lower()}".encode()
    return int.from_bytes(hmac.digest(key.secret, message, "sha256")[:8], "big")


def _masked(mask: _Mask, perceptual: int) -> int:
    becomes, turned = mask
    for bit, moved in enumerate(becomes):
        if perceptual >> bit & 1:
            turned ^= moved
    return turned
