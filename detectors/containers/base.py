"""The words the container parsers share."""

from __future__ import annotations

from dataclasses import dataclass


class Malformed(ValueError):
    """The file breaks its format's rules or ends too early; the words quote nothing of it."""


class NotStill(ValueError):
    """A kind of the format that is not one ordinary still picture (animation, embedded codecs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One file's headers, as stored (before any rotation).

    `end` is the offset just past the picture's last byte. `pictures` are the (start, stop) byte ranges a
    decoder needs, in order, without metadata. `exif` is the raw TIFF block, `software` what the
    container itself (not EXIF) names as the writing program.
    """

    width: int
    height: int
    end: int
    pictures: tuple[tuple[int, int], ...]
    exif: bytes | None = None
    software: str = ""


def join_ranges(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Merge ranges that touch, so that an untouched file stays one piece."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        elif stop > start:
            joined.append((start, stop))
    return tuple(joined)
