"""PNG picture data: the bytes that a picture's pixels take once inflated, and data that inflate to more, or to nothing.

libpng inflates whatever follows the last row, a thousand bytes for each byte of the file, and passes over any number of
empty blocks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_FIRST_CHUNK = 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Passes of an interlaced picture (PNG specification, 8.2): first column and row, and steps to the next.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_WHOLE = ((0, 0, 1, 1),)
#: Bytes inflated from, and to, at a time. What a call leaves over is copied, so the first is small.
_FROM, _TO = 16 * 1024, 1024 * 1024
#: Bytes beyond the pixels that are let through: some encoders fill up their last block.
SLACK = 64 * 1024


def fault(png: memoryview) -> str | None:
    """Words for data of a PNG that inflate to more than the pixels that its header names, or for a stretch of data to
    hardly anything; None for sound data. Called before the decode; little more than the pixels is inflated. Data that
    are broken or too short are the decoder's to tell."""
    left, credit = row_bytes(png) + SLACK, SLACK
    inflater = zlib.decompressobj()
    for piece in _data(png):
        credit -= len(piece) * 7 // 8  # the worst encoders of noise write a few per cent more than they got
        while piece and not inflater.eof:
            try:
                inflated = len(inflater.decompress(piece, _TO))
            except zlib.error:
                return None
            left, credit = left - inflated, min(credit + inflated, SLACK)
            if left < 0:
                return "the PNG's data go on beyond its pixels"
            piece = inflater.unconsumed_tail
        if inflater.eof:
            return None
        if credit < 0:
            return "the PNG's data have long parts without pixels"
    return None


def _data(png: memoryview) -> Iterator[bytes]:
    """Payloads of the IDAT chunks, in pieces."""
    position = _FIRST_CHUNK
    while position + 8 <= len(png):
        stop = position + 8 + int.from_bytes(png[position : position + 4], "big")
        if bytes(png[position + 4 : position + 8]) == b"IDAT":
            for start in range(position + 8, stop, _FROM):
                yield bytes(png[start : min(start + _FROM, stop)])
        position = stop + 4


def row_bytes(png: memoryview) -> int:
    """Size of the filtered rows of all passes."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    bits_a_pixel = png[24] * _CHANNELS.get(png[25], max(_CHANNELS.values()))
    size = 0
    for column, row, step, down in _ADAM7 if png[28] else _WHOLE:
        columns, rows = -(-(width - column) // step), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + -(-columns * bits_a_pixel // 8))
    return size
