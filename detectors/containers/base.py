"""The container of a picture, and the refusals of its parsers."""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.containers.work import Work


class Malformed(ValueError):
    """File that breaks its format's rules; the words quote nothing of the file."""


class Incomplete(Malformed):
    """File that ends before its picture does."""


class NotAsStored(ValueError):
    """File that viewers show otherwise than its pixels are stored: transparent parts, colours bent by its header."""


class NotStill(ValueError):
    """File of an accepted format that is not one ordinary still picture (animation, embedded codecs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Headers of a picture file, as stored (before any rotation); sizes in pixels, offsets in bytes.

    `end` is the offset just past the picture's last byte. `pictures` are the (start, stop) byte ranges a
    decoder needs, in order, without metadata; `closing` are the bytes it needs behind them, where a file with all
    its picture lacks its end marker. `corrections` are bytes (offset, value) in place of
    odd ones: a decoder reads both alike, but complains of the odd ones, and of nothing after that. `has_alpha` says
    that pixels may be transparent. `exif` is the raw TIFF block, `software` the writing program named by the container
    itself, not by EXIF. `work` is what the decode of it all costs.
    """

    width: int
    height: int
    end: int
    pictures: tuple[tuple[int, int], ...]
    closing: bytes = b""
    corrections: tuple[tuple[int, int], ...] = ()
    has_alpha: bool = False
    exif: bytes | None = None
    software: str = ""
    work: Work = field(default_factory=Work)


def join_ranges(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Merge ranges that touch, so that an untouched file stays one piece."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        elif stop > start:
            joined.append((start, stop))
    return tuple(joined)
