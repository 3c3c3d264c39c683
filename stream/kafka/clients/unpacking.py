"""Unpacking of compressed record batches, never to more than a bound: half a megabyte of gzip can hold gigabytes.

Codecs by their number in a batch's attributes: 1 gzip, 2 snappy (raw, or in Xerial's blocks as Java sends it),
3 LZ4 frame, 4 Zstandard. What follows the last gzip member is ignored, as the broker ignores it.
"""

from __future__ import annotations

import zlib

import cramjam
import numpy as np

#: More than an honest batch unpacks to: one submission is at most 15 MB. Each partition may hold as much until all
#: records of its batch were handed on.
MAX_UNPACKED_BYTES = 32 * 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
#: zlib's window size, plus 16 for a gzip header.
_GZIP_WINDOW = 15 + 16
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16


class Unreadable(ValueError):
    """Batch that can't be unpacked, now or later; the message quotes nothing of the batch."""


def unpack(codec: int, packed: bytes) -> bytes:
    """The records of a batch; raises Unreadable."""
    try:
        match codec:
            case 1:
                return _gunzip(packed)
            case 2:
                return _unsnap(packed)
            case 3:
                return _into_bound(cramjam.lz4, packed)
            case 4:
                return _into_bound(cramjam.zstd, packed)
    except (zlib.error, cramjam.DecompressionError) as error:
        raise Unreadable(f"the batch can't be unpacked ({type(error).__name__})") from None
    raise Unreadable("the batch is packed in an unknown way")


def _gunzip(packed: bytes) -> bytes:
    found = bytearray()
    while packed.startswith(_GZIP_MAGIC):
        member = zlib.decompressobj(_GZIP_WINDOW)
        found += member.decompress(packed, MAX_UNPACKED_BYTES - len(found) + 1)
        if len(found) > MAX_UNPACKED_BYTES or not member.eof:
            raise Unreadable("the batch is cut off or unpacks to too much")
        packed = member.unused_data
    return bytes(found)


def _unsnap(packed: bytes) -> bytes:
    found = bytearray()
    for block in _xerial_blocks(packed) if packed.startswith(_XERIAL_MAGIC) else [packed]:
        if len(found) + cramjam.snappy.decompress_raw_len(block) > MAX_UNPACKED_BYTES:
            raise Unreadable("the batch unpacks to too much")
        found += bytes(cramjam.snappy.decompress_raw(block))
    return bytes(found)


def _xerial_blocks(packed: bytes) -> list[bytes]:
    blocks, at = [], _XERIAL_HEADER
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "big")
        blocks.append(packed[at + 4 : at + 4 + size])
        at += 4 + size
    return blocks


def _into_bound(codec: object, packed: bytes) -> bytes:
    bound = np.empty(MAX_UNPACKED_BYTES, np.uint8)  # not cleared, which would cost more than most batches
    size = codec.decompress_into(packed, bound)  # type: ignore[attr-defined]  # cramjam's modules are built alike
    return bound[:size].tobytes()
