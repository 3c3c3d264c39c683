"""Colour profiles (ICC.1): whether a viewer, who applies the profile, shows about the pixels that are judged.

Cameras, phones and editors embed profiles of three primaries and a tone curve for each. With other curves, primaries or
tables a profile inverts, darkens or swaps colours, so that people see another picture. Pure, bounded, no colour engine.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from detectors.containers.base import NotAsStored

MAX_BYTES = 1024 * 1024
#: Tags of a profile (real ones have some twenty) and entries of a curve (1024 in the commonest sRGB profile).
_MAX_TAGS, _MAX_ENTRIES = 100, 4096
_HEADER_BYTES, _TAG_BYTES = 128, 12
#: Tags of tables that take the place of curves and primaries.
_TABLES = frozenset((b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2"))
#: Parameters of a curve by its function (table 68 of ICC.1:2022).
_PARAMETERS = (1, 3, 4, 5, 7)

#: Tone curves of real encoders lie between gammas of 1 and 2.6; one below x^3 or above x shows another picture.
_STEPS, _STEEPEST, _BELOW, _ABOVE = 16, 3.0, 0.02, 0.05
#: Ranges of the primaries' chromaticity (x, y), in thousandths: sRGB, P3, Rec. 2020, Adobe, ProPhoto, seen from D50.
_PRIMARIES = {
    b"rXYZ": (range(550, 751), range(240, 401)),
    b"gXYZ": (range(100, 401), range(500, 901)),
    b"bXYZ": (range(201), range(201)),
}
_D50, _WHITE_TOLERANCE = (0.9642, 1.0, 0.8249), 0.1


def require_usual_colours(profile: bytes) -> None:
    """Refuse a profile that no camera embeds; raises NotAsStored. What isn't a profile, viewers leave aside."""
    if profile[36:40] != b"acsp":
        return
    if len(profile) <= MAX_BYTES:
        tags, space = dict(_tags(profile)), profile[16:20]
        curves = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}.get(space, ())
        is_usual = bool(curves) and all(_is_usual_curve(tags.get(name, b"")) for name in curves)
        if is_usual and _TABLES.isdisjoint(tags) and (space == b"GRAY" or _are_usual_primaries(tags)):
            return
    raise NotAsStored(
        "the colour profile in the image is not one of a camera: viewers show other colours than are stored"
    )


def _tags(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4], "big")
    for number in range(min(count, _MAX_TAGS)):
        entry = profile[_HEADER_BYTES + 4 + number * _TAG_BYTES :][:_TAG_BYTES]
        start, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        yield entry[:4], profile[start : start + size]


def _is_usual_curve(tag: bytes) -> bool:
    values = _curve(tag)
    if not values or any(after < before for before, after in pairwise(values)):
        return False
    steps = (number / _STEPS for number in range(_STEPS + 1))
    return all(x**_STEEPEST - _BELOW <= _value_at(x, values) <= x + _ABOVE for x in steps)


def _value_at(x: float, values: list[float]) -> float:
    place = x * (len(values) - 1)
    before = values[int(place)]
    return before + (place - int(place)) * (values[min(int(place) + 1, len(values) - 1)] - before)


def _curve(tag: bytes) -> list[float]:
    """Values (0 to 1) of a curve at even steps from 0 to 1; empty if the curve can't be read."""
    kind, number = tag[:4], int.from_bytes(tag[8:12], "big")
    if kind == b"curv" and number <= _MAX_ENTRIES and len(tag) >= 12 + 2 * number:
        entries = struct.unpack_from(f">{number}H", tag, 12)
        if number > 1:
            return [entry / 65535 for entry in entries]
        return _function(entries[0] / 256 if entries else 1.0)
    count = _PARAMETERS[number >> 16] if number >> 16 < len(_PARAMETERS) else 0
    if kind == b"para" and count and len(tag) >= 12 + 4 * count:
        return _parametric(number >> 16, *_fixed(tag, 12, count))
    return []


def _parametric(kind: int, gamma: float, a: float = 1.0, b: float = 0.0, *others: float) -> list[float]:
    """Values of (a x + b)^gamma + e from x = d on, of c x + f below."""
    if kind == 0:
        return _function(gamma)
    if kind < 3:
        offset = others[0] if others else 0.0
        return _function(gamma, a, b, 0.0, -b / a, offset, offset) if a else []
    c, d, e, f = (*others, 0.0, 0.0)[:4]
    return _function(gamma, a, b, c, d, e, f)


def _function(
    gamma: float, a: float = 1.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, e: float = 0.0, f: float = 0.0
) -> list[float]:
    if not 0 < gamma <= 10:
        return []
    steps = (number / _STEPS for number in range(_STEPS + 1))
    return [max(a * x + b, 0.0) ** gamma + e if x >= d else c * x + f for x in steps]


def _are_usual_primaries(tags: dict[bytes, bytes]) -> bool:
    found = [_fixed(tags[name], 8, 3) for name in _PRIMARIES if tags.get(name, b"")[:4] == b"XYZ "]
    if len(found) != len(_PRIMARIES) or any(len(each) != 3 for each in found):
        return False
    white = [sum(parts) for parts in zip(*found, strict=True)]
    if any(abs(is_white - wanted) > _WHITE_TOLERANCE for is_white, wanted in zip(white, _D50, strict=True)):
        return False
    return all(_is_usual_primary(xyz, ranges) for xyz, ranges in zip(found, _PRIMARIES.values(), strict=True))


def _is_usual_primary(xyz: tuple[float, ...], ranges: tuple[range, range]) -> bool:
    whole = sum(xyz)
    if whole <= 0:
        return False
    return all(round(1000 * part / whole) in usual for part, usual in zip(xyz[:2], ranges, strict=True))


def _fixed(tag: bytes, start: int, count: int) -> tuple[float, ...]:
    """Numbers of type s15Fixed16; empty if the tag is too short."""
    if len(tag) < start + 4 * count:
        return ()
    return tuple(number / 65536 for number in struct.unpack_from(f">{count}i", tag, start))
