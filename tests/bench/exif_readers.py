"""Time and peak memory of two EXIF readers: ours (`detectors/exif.py`) and Pillow's.

    python tests/bench/exif_readers.py [rounds]

Three TIFF blocks of at most 64 KB, the largest a JPEG segment carries: a photograph's (40 entries), entries that all
point at one long value, and sub-directories that hold no value but each other. Memory is what Python allocates while
one block is read (tracemalloc), MiB.
"""

from __future__ import annotations

import struct
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable

from PIL import Image

from detectors.exif import read_exif

BLOCK = 65_527  # a JPEG segment less its length and "Exif\0\0"
_EXIF_POINTER, _GPS_POINTER = 0x8769, 0x8825


def directory(*entries: tuple[int, int, int, int]) -> bytes:
    """An image file directory; an entry is tag, type, count and the four value bytes as a number."""
    packed = b"".join(struct.pack("<HHII", *each) for each in sorted(entries))
    return struct.pack("<H", len(entries)) + packed + bytes(4)


def block(*parts: bytes) -> bytes:
    return (b"II*\0" + struct.pack("<I", 8) + b"".join(parts))[:BLOCK]


def photograph() -> bytes:
    """40 entries in three directories, texts and rationals behind them, as a phone writes."""
    texts = b"Make and model of a phone\0".ljust(64, b"\0")
    exif = 8 + 6 + 12 * 12
    gps = exif + 6 + 12 * 22
    values = gps + 6 + 12 * 6
    first = directory(
        *((0x0100 + n, 2, 26, values) for n in range(10)), (_EXIF_POINTER, 4, 1, exif), (_GPS_POINTER, 4, 1, gps)
    )
    second = directory(*((0x8290 + n, 5, 1, values) for n in range(22)))
    return block(first, second, directory(*((n, 5, 3, values) for n in range(6))), texts)


def one_value() -> bytes:
    """As many entries as fit beside one value of half the block, which all of them point at."""
    entries = (BLOCK // 2 - 14) // 12
    start = 8 + 6 + 12 * entries
    return block(directory(*((n, 7, BLOCK - start, start) for n in range(entries)))).ljust(BLOCK, b"x")


def nested() -> bytes:
    """Both pointers lead back to the first directory, beside as many long texts as fit."""
    entries = 2700
    start = 8 + 6 + 12 * (entries + 2)
    texts = [(n, 2, BLOCK - start, start) for n in range(entries)]
    return block(directory(*texts, (_EXIF_POINTER, 4, 1, 8), (_GPS_POINTER, 4, 1, 8))).ljust(BLOCK, b"x")


def by_pillow(tiff: bytes) -> object:
    """The same facts: every entry of the three directories."""
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + tiff)
    return [dict(exif), dict(exif.get_ifd(_EXIF_POINTER)), dict(exif.get_ifd(_GPS_POINTER))]


def measure(read: Callable[[bytes], object], tiff: bytes, rounds: int) -> tuple[float, float]:
    """Milliseconds of the fastest round, and peak MiB of another."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        read(tiff)
        times.append(time.perf_counter() - started)
    tracemalloc.start()
    read(tiff)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times) * 1000, peak / 2**20


def main() -> None:
    warnings.simplefilter("ignore")  # Pillow warns of each entry that it leaves out, which would be timed too
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for name, tiff in (("photograph", photograph()), ("one value", one_value()), ("nested", nested())):
        for reader, read in (("ours", read_exif), ("Pillow", by_pillow)):
            spent_ms, peak_mib = measure(read, tiff, rounds)
            print(f"{name:>10} {len(tiff):>6} bytes  {reader:>6}: {spent_ms:9.3f} ms, peak {peak_mib:8.2f} MiB")


if __name__ == "__main__":
    main()
