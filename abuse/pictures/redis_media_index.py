"""The image index on Redis, one server or a cluster.

    pictures:{TENANT|KEY|PART|16 BITS}    sorted set, by event time: lines of a 64-bit hash and a reference, the newest
                                          kept. PART is 0 to 3 for the bands of the perceptual hash, b and p for the
                                          hashes of bytes and pixels, whose first bits choose the set
    picture:{TENANT|REFERENCE}            one image, its ids and hashes
    pictures-of:{TENANT|CORRELATION_ID}   sorted set, by event time: references

Lines are short and many share a key, those of exact hashes too: with a million pictures in the window a key of a band
holds fifteen lines, a search reads a thousand lines of twenty bytes with 70 commands, and a picture takes 0.9 KB
(measured).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import numpy as np
import orjson
from numpy.typing import NDArray

from abuse.event_time import DAY_MS
from abuse.pictures.media_index import (
    MOST_MATCHES,
    EnrolledImage,
    ImageMatch,
    MediaPlan,
    check_bits,
    media_plan,
    ranked,
)
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply, reading
from abuse.store_record import Personal, StoreRecord
from abuse.submission_ref import submission_ref_from

BANDS, BAND_BITS = 4, 16
#: With at most so many wrong bits, one of the bands is equal.
EXACT_BITS = BANDS - 1
#: A band as it is, and with each of its bits flipped.
FLIPS = (0, *(1 << bit for bit in range(BAND_BITS)))
HASH_BYTES, TIME_BYTES, NAME_BYTES = 8, 6, 6
LINE_BYTES = HASH_BYTES + TIME_BYTES + NAME_BYTES
_LINE = np.dtype([("hash", ">u8"), ("reference", [("head", ">u8"), ("tail", ">u4")])])
PAGE = 100
#: Lines read of an exact hash, the newest: nearly all of them match.
EXACT_LINES = 2 * MOST_MATCHES


_of_media = partial(StoreRecord, life_ms=lambda settings, policy: media_plan(policy).life_ms)
_of_pictures = partial(_of_media, personal=Personal.BIOMETRIC)
RECORDS = (
    _of_pictures(name="abuse:pictures", holds="keyed hashes of pictures", after="the last one"),
    _of_pictures(name="abuse:picture", holds="ids and keyed hashes of one picture", after="it was seen"),
    _of_media(name="abuse:pictures-of", holds="which pictures are a correlation id's", after="the last one"),
)


class RedisMediaIndex:
    """`in_order`: the server carries out all commands of a call in their order, as no cluster does."""

    def __init__(self, calls: RedisClient, key_prefix: str, plan: MediaPlan, *, in_order: bool = False) -> None:
        self._calls, self._plan, self._in_order = calls, plan, in_order
        self._prefix = f"{key_prefix}abuse:"

    async def search(
        self, image: EnrolledImage, within_bits: int, most: int = MOST_MATCHES, *, enrol: bool = False
    ) -> tuple[ImageMatch, ...]:
        check_bits(within_bits)
        if enrol and not self._in_order:
            await self.enrol([image])
        adding = self._add(image) if enrol and self._in_order else []
        searches = [each for hashes in image.hashes for each in self._searches(image, hashes, within_bits)]
        replies = await self._calls.execute([*adding, *[command for command, _, _ in searches]])
        near = _NearReferences(_reference(image))
        for (command, hashed, bits), lines in zip(searches, replies[len(adding) :], strict=True):
            if lines:
                near.take(str(command[1]), hashed, bits, cast("list[bytes]", lines))
        records = await self._records(image.tenant, near.ranked(most))
        return ranked((image.match(other, within_bits) for _, other in records if other is not None), most)

    async def enrol(self, images: Sequence[EnrolledImage]) -> None:
        await self._calls.execute([command for each in images for command in self._add(each)])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        pages = await self._pages_of(tenant, correlation_id)
        return sum([sum(image is not None for _, image in await self._records(tenant, page)) for page in pages])

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        removed = 0
        for page in await self._pages_of(tenant, correlation_id):
            records = [(name, image.stored) for name, image in await self._records(tenant, page) if image is not None]
            lines = (line for reference, hashes in records for line in self._lines(tenant, hashes, reference))
            # On a cluster the parts of one round trip come in no order: an index to keys goes after the keys.
            await self._calls.execute([("ZREM", key, line) for key, line in lines])
            deleted = await self._calls.execute([("DEL", self._record(tenant, reference)) for reference, _ in records])
            removed += sum(cast("list[int]", deleted))
            await self._calls.execute([("ZREM", self._pictures_of(tenant, correlation_id), *page)])
        return removed

    def _add(self, image: EnrolledImage) -> list[Command]:
        reference, commands, life_ms = _reference(image), list[Command](), self._plan.life_ms
        for key, line in self._lines(image.tenant, image.stored, reference):
            commands += [
                ("ZADD", key, image.at_ms, line),
                ("ZREMRANGEBYSCORE", key, "-inf", f"({image.at_ms - life_ms}"),
                ("ZREMRANGEBYRANK", key, 0, -self._plan.most_lines - 1),
                ("PEXPIRE", key, life_ms),
            ]
        traced = self._pictures_of(image.tenant, image.correlation_id)
        return [
            ("ZADD", traced, image.at_ms, reference),
            # A record expires by the clock: a late one outlives its event time by up to a day more.
            ("ZREMRANGEBYSCORE", traced, "-inf", f"({image.at_ms - life_ms - DAY_MS}"),
            ("PEXPIRE", traced, life_ms),
            ("SET", self._record(image.tenant, reference), _packed(image), "PX", life_ms),
            *commands,
        ]

    def _searches(
        self, image: EnrolledImage, hashes: KeyedImageHashes, within_bits: int
    ) -> list[tuple[Command, int, int]]:
        """Commands, each with the hash to compare the lines with and the number of bits that may differ."""
        newest_first = (image.at_ms + self._plan.window_ms, image.at_ms - self._plan.window_ms, "BYSCORE", "REV")
        exact, near = (*newest_first, "LIMIT", 0, EXACT_LINES), (*newest_first, "LIMIT", 0, self._plan.most_lines)
        flips = FLIPS if within_bits > EXACT_BITS else (0,)
        return [
            (("ZRANGE", key, *exact), hashed, 0) if is_exact else (("ZRANGE", key, *near), hashed, within_bits)
            for key, hashed, is_exact in self._places(image.tenant, hashes, flips)
        ]

    def _lines(self, tenant: str | None, hashes: KeyedImageHashes, reference: bytes) -> Iterator[tuple[str, bytes]]:
        for key, hashed, _ in self._places(tenant, hashes):
            yield key, hashed.to_bytes(HASH_BYTES, "big") + reference

    def _places(
        self, tenant: str | None, hashes: KeyedImageHashes, flips: Sequence[int] = (0,)
    ) -> list[tuple[str, int, bool]]:
        """Keys of a picture's lines, each with the hash in these lines and whether only the same hash counts; of bands
        of the perceptual hash also those with these bits flipped."""
        of_key, near = f"{self._prefix}pictures:{{{tenant or ''}|{hashes.key_id}|", hashes.perceptual
        exact = [
            (f"{of_key}{part}|{_band(each, 0):04x}}}", each, True)
            for part, each in (("b", hashes.bytes), ("p", hashes.pixels))
        ]
        bands = [(band, _band(near, band)) for band in range(BANDS)]
        return exact + [
            (f"{of_key}{band}|{value ^ flip:04x}}}", near, False) for band, value in bands for flip in flips
        ]

    async def _pages_of(self, tenant: str | None, correlation_id: str) -> list[list[bytes]]:
        """References of a correlation id's images, in pages that one round trip reads."""
        (listed,) = await self._calls.execute([("ZRANGE", self._pictures_of(tenant, correlation_id), 0, -1)])
        references = cast("list[bytes]", listed)
        return [references[start : start + PAGE] for start in range(0, len(references), PAGE)]

    async def _records(
        self, tenant: str | None, references: Sequence[bytes]
    ) -> list[tuple[bytes, EnrolledImage | None]]:
        keys = [self._record(tenant, reference) for reference in references]
        replies = await self._calls.execute([("GET", key) for key in keys])
        return [
            (ref, _image_from(key, tenant, reply)) for ref, key, reply in zip(references, keys, replies, strict=True)
        ]

    def _record(self, tenant: str | None, reference: bytes) -> str:
        return f"{self._prefix}picture:{{{tenant or ''}|{reference.hex()}}}"

    def _pictures_of(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}pictures-of:{{{tenant or ''}|{correlation_id}}}"


class _NearReferences:
    """References of images near enough by their lines, with the fewest bits that differ."""

    def __init__(self, own: bytes) -> None:
        self._own_name, self._own = own, np.frombuffer(own, _LINE["reference"])[0]
        self._near: list[tuple[NDArray[np.void], NDArray[np.uint8]]] = []

    def take(self, key: str, hashed: int, bits: int, lines: Sequence[bytes]) -> None:
        """Raises ForeignValue."""
        if len(lines) == 1 and lines[0][HASH_BYTES:] == self._own_name:
            return  # what is found of a picture that nobody else has
        if {*map(len, lines)} != {LINE_BYTES}:
            raise ForeignValue(key)
        read = np.frombuffer(b"".join(lines), _LINE)
        apart: NDArray[np.uint8] = np.bitwise_count(read["hash"].astype(np.uint64) ^ np.uint64(hashed))
        near = (apart <= bits) & (read["reference"] != self._own)
        if near.any():
            self._near.append((read["reference"][near], apart[near]))

    def ranked(self, most: int) -> list[bytes]:
        """Fewest bits first, then the newest: a reference begins with its time."""
        if not self._near:
            return []
        references = np.concatenate([each for each, _ in self._near], dtype=_LINE["reference"])
        apart = np.concatenate([each for _, each in self._near])
        head, tail = references["head"], references["tail"]
        grouped = np.lexsort((apart, tail, head))
        first = np.ones(len(grouped), bool)  # of each reference, the line with the fewest bits
        first[1:] = (np.diff(head[grouped].astype(np.uint64)) != 0) | (np.diff(tail[grouped].astype(np.uint64)) != 0)
        each = grouped[first]
        best = each[np.lexsort((~tail[each], ~head[each], apart[each]))]
        return [references[row].tobytes() for row in best[:most]]


def _band(hashed: int, band: int) -> int:
    return hashed >> BAND_BITS * band & (1 << BAND_BITS) - 1


def _reference(image: EnrolledImage) -> bytes:
    """The name of an image, its time first; two of the same millisecond share a name once in 10^14."""
    name = f"{image.correlation_id} {image.submission_id}".encode()
    at = max(image.at_ms, 0).to_bytes(TIME_BYTES, "big")
    return at + hmac.digest(b"picture reference", name, "sha256")[:NAME_BYTES]


def _packed(image: EnrolledImage) -> bytes:
    hashes = image.stored
    return orjson.dumps([*image.ref_fields.values(), hashes.key_id, hashes.bytes, hashes.pixels, hashes.perceptual])


def _image_from(key: str, tenant: str | None, reply: Reply) -> EnrolledImage | None:
    """The image of a record; None for a forgotten or expired one. Raises ForeignValue."""
    if reply is None:
        return None
    with reading(key):
        *ref_fields, key_id, exact, pixels, perceptual = orjson.loads(cast(bytes, reply))
        hashes = KeyedImageHashes(key_id=key_id, bytes=exact, pixels=pixels, perceptual=perceptual)
        return EnrolledImage(tenant=tenant, hashes=(hashes,), **submission_ref_from(*ref_fields).ref_fields)
