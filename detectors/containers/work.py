"""Work of a decode, told by the headers: bytes that a codec reads, writes or passes over, each weighted by its format.

A weight of 1 is about a nanosecond of one core: `tests/bench/decode_work.py` measures each of them. A phone's JPEG of
12 megapixels has a work of 40 million, one of 50 megapixels 100 to 200 million.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The most work of a picture that is decoded: passes JPEGs of one scan at any size, progressive ones as encoders
#: write them (ten scans) at 50 megapixels in 7 MB, and PNGs of a browser's canvas (RGBA) at 4096x3072.
MOST = 605_000_000

#: Weights of a sample of a JPEG with one scan, and of a sample in each of several scans: their coefficients are kept
#: in memory, and every scan passes over those of its components.
JPEG_SAMPLE, JPEG_SCAN_SAMPLE = 0.6, 0.75
#: Weights of a byte of the file, for its entropy coding.
JPEG_CODED, JPEG_SCANS_CODED = 15.0, 40.0
#: Weight of a byte of PNG rows before filtering: inflated twice, once to see where the data end.
PNG_ROW_BYTE = 10.0
#: Weight of a pixel that is written as it is stored and then scaled down (all formats but JPEG, which scales as it
#: decodes).
WRITTEN_PIXEL = 8.0
#: Weights of a pixel and of a coded byte by the WebP chunk that holds them.
WEBP = {b"VP8 ": (12.0, 80.0), b"VP8L": (35.0, 10.0), b"ALPH": (35.0, 10.0)}


@dataclass(frozen=True, slots=True)
class Work:
    """Work of one decode: `by_size` grows with the pixels, `coded` with the bytes of the file."""

    by_size: float = 0.0
    coded: float = 0.0

    @property
    def is_too_much(self) -> bool:
        return self.by_size + self.coded > MOST

    def most_pixels(self, pixels: int) -> int:
        """Pixels, of so many now, at which a file of as many bytes is decoded; 0 if its bytes alone are too much."""
        return max(0, int(pixels * (MOST - self.coded) / self.by_size)) if self.by_size else 0


def of_jpeg(samples: int, scans: int, file_bytes: int, *, progressive: bool) -> Work:
    """Work of a JPEG whose scans have so many samples together."""
    if scans == 1 and not progressive:
        return Work(samples * JPEG_SAMPLE, file_bytes * JPEG_CODED)
    return Work(samples * JPEG_SCAN_SAMPLE, file_bytes * JPEG_SCANS_CODED)


def of_png(row_bytes: int, pixels: int) -> Work:
    """Work of a PNG whose filtered rows, of all passes, have so many bytes."""
    return Work(row_bytes * PNG_ROW_BYTE + pixels * WRITTEN_PIXEL)


def of_webp(chunks: dict[bytes, int], pixels: int) -> Work:
    """Work of a WebP with so many bytes in chunks of each kind."""
    weights = [(WEBP[kind], size) for kind, size in chunks.items() if kind in WEBP]
    return Work(
        sum(a_pixel * pixels for (a_pixel, _), _ in weights), sum(a_byte * size for (_, a_byte), size in weights)
    )


def of_bmp(pixels: int) -> Work:
    """Work of a BMP."""
    return Work(pixels * WRITTEN_PIXEL)
