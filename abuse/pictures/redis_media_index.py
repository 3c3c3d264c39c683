"""The index of pictures on Redis, one server or a cluster. No scripts: every command names what it adds.

    pictures:{TENANT|KEY|PART|16 BITS}    sorted set, by event time: lines of a 64-bit code and a reference, the newest
                                          kept. PART is 0 to 3 for the bands of the perceptual hash, b and p for the
                                          codes of bytes and pixels, of which the first bits choose the set
    picture:{TENANT|REFERENCE}            one sighting, its ids and codes
    pictures-of:{TENANT|CORRELATION_ID}   sorted set, by event time: references

Lines are short and many share a key, the exact codes' too: with a million pictures in the window a key of a band holds
fifteen lines, a search reads a thousand lines of twenty bytes with 70 commands, and a picture takes 0.9 KB (measured).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import orjson
from numpy.typing import NDArray

from abuse.event_time import DAY_MS
from abuse.pictures.media_index import MOST_HITS, MediaPlan, PictureHit, PictureSighting, check_bits, hit_of, strongest
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from abuse.submission_ref import submission_ref_from

BANDS, BAND_BITS = 4, 16
#: So many wrong bits leave one of the bands whole.
EXACT_BITS = BANDS - 1
CODE_BYTES, TIME_BYTES, NAME_BYTES = 8, 6, 6
LINE_BYTES = CODE_BYTES + TIME_BYTES + NAME_BYTES
_LINE = np.dtype([("code", ">u8"), ("reference", f"V{TIME_BYTES + NAME_BYTES}")])
PAGE = 100


class RedisMediaIndex:
    def __init__(self, calls: RedisClient, key_prefix: str, plan: MediaPlan) -> None:
        self._calls, self._plan = calls, plan
        self._prefix = f"{key_prefix}abuse:"

    async def search(self, sighting: PictureSighting, within_bits: int) -> tuple[PictureHit, ...]:
        check_bits(within_bits)
        asked = [each for codes in sighting.codes for each in self._searches(sighting, codes, within_bits)]
        told = await self._calls.execute([command for command, _, _ in asked])
        candidates = _Candidates(_reference(sighting))
        for (command, code, bits), lines in zip(asked, told, strict=True):
            candidates.take(str(command[1]), code, bits, cast("list[bytes]", lines))
        records = await self._records(sighting.tenant, candidates.strongest())
        hits = (hit_of(sighting, other, within_bits) for _, other in records if other is not None)
        return strongest(hit for hit in hits if hit is not None)

    async def enrol(self, sightings: Sequence[PictureSighting]) -> None:
        await self._calls.execute([command for each in sightings for command in self._add(each)])

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        (listed,) = await self._calls.execute([("ZRANGE", self._pictures_of(tenant, correlation_id), 0, -1)])
        references, count = cast("list[bytes]", listed), 0
        for start in range(0, len(references), PAGE):
            records = await self._records(tenant, references[start : start + PAGE])
            count += sum(kept is not None for _, kept in records)
        return count

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        traced = self._pictures_of(tenant, correlation_id)
        (listed,) = await self._calls.execute([("ZRANGE", traced, 0, -1)])
        references, removed = cast("list[bytes]", listed), 0
        for start in range(0, len(references), PAGE):
            page = references[start : start + PAGE]
            kept = [(reference, each.kept) for reference, each in await self._records(tenant, page) if each is not None]
            lines = (line for reference, codes in kept for line in self._lines(tenant, codes, reference))
            # On a cluster the parts of one round trip come in no order: what leads to the rest goes in the next.
            await self._calls.execute([("ZREM", key, line) for key, line in lines])
            gone = await self._calls.execute([("DEL", self._record(tenant, reference)) for reference, _ in kept])
            removed += sum(cast("list[int]", gone))
            await self._calls.execute([("ZREM", traced, *page)])
        return removed

    def _add(self, sighting: PictureSighting) -> list[Command]:
        reference, commands, life_ms = _reference(sighting), list[Command](), self._plan.life_ms
        for key, line in self._lines(sighting.tenant, sighting.kept, reference):
            commands += [
                ("ZADD", key, sighting.at_ms, line),
                ("ZREMRANGEBYSCORE", key, "-inf", f"({sighting.at_ms - life_ms}"),
                ("ZREMRANGEBYRANK", key, 0, -self._plan.most_lines - 1),
                ("PEXPIRE", key, life_ms),
            ]
        traced = self._pictures_of(sighting.tenant, sighting.correlation_id)
        return [
            ("ZADD", traced, sighting.at_ms, reference),
            # A record expires by the clock, so one that came late outlives its event time by up to a day more.
            ("ZREMRANGEBYSCORE", traced, "-inf", f"({sighting.at_ms - life_ms - DAY_MS}"),
            ("PEXPIRE", traced, life_ms),
            ("SET", self._record(sighting.tenant, reference), _packed(sighting), "PX", life_ms),
            *commands,
        ]

    def _searches(
        self, sighting: PictureSighting, codes: KeyedImageHashes, within_bits: int
    ) -> Iterator[tuple[Command, int, int]]:
        """Commands, each with the code its lines are compared with, and in how many bits they may differ."""
        window = (sighting.at_ms - self._plan.window_ms, sighting.at_ms + self._plan.window_ms, "BYSCORE")
        tenant = sighting.tenant
        for part, code in (("b", codes.bytes), ("p", codes.pixels)):
            yield ("ZRANGE", self._part(tenant, codes.key_id, part, _band(code, 0)), *window), code, 0
        flips = (0, *(1 << bit for bit in range(BAND_BITS))) if within_bits > EXACT_BITS else (0,)
        for band in range(BANDS):
            value = _band(codes.perceptual, band)
            for flip in flips:
                key = self._part(tenant, codes.key_id, str(band), value ^ flip)
                yield ("ZRANGE", key, *window), codes.perceptual, within_bits

    def _lines(self, tenant: str | None, codes: KeyedImageHashes, reference: bytes) -> Iterator[tuple[str, bytes]]:
        for part, code in (("b", codes.bytes), ("p", codes.pixels)):
            yield self._part(tenant, codes.key_id, part, _band(code, 0)), code.to_bytes(CODE_BYTES, "big") + reference
        line = codes.perceptual.to_bytes(CODE_BYTES, "big") + reference
        for band in range(BANDS):
            yield self._part(tenant, codes.key_id, str(band), _band(codes.perceptual, band)), line

    async def _records(
        self, tenant: str | None, references: Sequence[bytes]
    ) -> list[tuple[bytes, PictureSighting | None]]:
        keys = [self._record(tenant, reference) for reference in references]
        told = await self._calls.execute([("GET", key) for key in keys])
        return [(ref, _kept(key, tenant, held)) for ref, key, held in zip(references, keys, told, strict=True)]

    def _part(self, tenant: str | None, key_id: str, part: str, value: int) -> str:
        return f"{self._prefix}pictures:{{{tenant or ''}|{key_id}|{part}|{value:04x}}}"

    def _record(self, tenant: str | None, reference: bytes) -> str:
        return f"{self._prefix}picture:{{{tenant or ''}|{reference.hex()}}}"

    def _pictures_of(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}pictures-of:{{{tenant or ''}|{correlation_id}}}"


class _Candidates:
    """References of pictures near enough by the lines alone, each with the fewest bits it is away."""

    def __init__(self, own: bytes) -> None:
        self._own = own
        self._bits: dict[bytes, int] = {}

    def take(self, key: str, code: int, bits: int, lines: Sequence[bytes]) -> None:
        """Raises ForeignValue."""
        if not lines:
            return
        if any(len(line) != LINE_BYTES for line in lines):
            raise ForeignValue(key)
        read = np.frombuffer(b"".join(lines), _LINE)
        apart: NDArray[np.uint8] = np.bitwise_count(read["code"].astype(np.uint64) ^ np.uint64(code))
        for place in np.flatnonzero(apart <= bits):
            reference, away = read["reference"][place].tobytes(), int(apart[place])
            if reference != self._own:
                self._bits[reference] = min(away, self._bits.get(reference, away))

    def strongest(self) -> list[bytes]:
        """Fewest bits first, then the newest: a reference begins with its time."""
        newest_first = sorted(self._bits, reverse=True)
        return sorted(newest_first, key=self._bits.__getitem__)[:MOST_HITS]


def _band(code: int, band: int) -> int:
    return code >> BAND_BITS * band & (1 << BAND_BITS) - 1


def _reference(sighting: PictureSighting) -> bytes:
    """Names the sighting, its time first; two of the same millisecond meet once in 10^14."""
    name = f"{sighting.correlation_id} {sighting.submission_id}".encode()
    at = max(sighting.at_ms, 0).to_bytes(TIME_BYTES, "big")
    return at + hmac.digest(b"picture reference", name, "sha256")[:NAME_BYTES]


def _packed(sighting: PictureSighting) -> bytes:
    codes = sighting.kept
    return orjson.dumps([*sighting.told.values(), codes.key_id, codes.bytes, codes.pixels, codes.perceptual])


def _kept(key: str, tenant: str | None, held: Reply) -> PictureSighting | None:
    """None for a picture forgotten or expired. Raises ForeignValue."""
    if held is None:
        return None
    try:
        *told, key_id, exact, pixels, perceptual = orjson.loads(cast(bytes, held))
        codes = KeyedImageHashes(key_id=key_id, bytes=exact, pixels=pixels, perceptual=perceptual)
        return PictureSighting(tenant=tenant, codes=(codes,), **submission_ref_from(*told).told)
    except (ValueError, TypeError) as error:
        raise ForeignValue(key) from error
