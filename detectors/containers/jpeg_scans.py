"""Scans of a JPEG: whether together they hold the whole picture (ITU-T T.81, annexes B and G).

A progressive file cut off between two scans still decodes, to a coarse picture. So every component's 64 coefficients
must have been sent down to their last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.containers.base import Malformed, NotStill

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_COEFFICIENTS = 64
_NEVER_SENT = -1


@dataclass(slots=True)
class FrameHeader:
    """Frame header of a JPEG, and how far each component's coefficients have come.

    `missing_bits` has for each component 64 numbers: bits yet to come, or -1 for a coefficient never sent; `factors`
    the product of its sampling factors. `scan_samples` counts a component's samples anew in each of its `scans`.
    """

    progressive: bool
    width: int
    height: int
    missing_bits: dict[int, list[int]] = field(default_factory=dict)
    factors: dict[int, int] = field(default_factory=dict)
    scans: int = 0
    scan_samples: int = 0

    @property
    def is_complete(self) -> bool:
        """True once every coefficient of every component was sent whole."""
        return not any(any(bits) for bits in self.missing_bits.values())

    def add_scan(self, payload: memoryview) -> None:
        """Note what a scan header promises; raises Malformed."""
        count = payload[0] if len(payload) else 0
        if not 1 <= count <= 4 or len(payload) < 4 + 2 * count:
            raise Malformed("a JPEG scan header is broken")
        first, last, bits = payload[1 + 2 * count : 4 + 2 * count]
        if not self.progressive:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        self.scans += 1
        for component in payload[1 : 1 + 2 * count : 2]:
            if component not in self.missing_bits:
                raise Malformed("a JPEG scan is of an unknown component")
            self.scan_samples += self.width * self.height * self.factors[component] // max(self.factors.values())
            for coefficient in range(first, min(last, _COEFFICIENTS - 1) + 1):
                self.missing_bits[component][coefficient] = bits & 0x0F


def read_frame_header(code: int, payload: memoryview) -> FrameHeader:
    """Frame header behind marker `code`. Raises NotStill for a coding that no camera writes and viewers don't show."""
    if code not in (_BASELINE, _EXTENDED, _PROGRESSIVE) or (len(payload) and payload[0] != 8):
        raise NotStill("the JPEG is of a kind that no camera writes (lossless, arithmetic or 12 bits)")
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise Malformed("the JPEG frame header is too short")
    header = FrameHeader(
        progressive=code == _PROGRESSIVE,
        width=int.from_bytes(payload[3:5], "big"),
        height=int.from_bytes(payload[1:3], "big"),
    )
    for at in range(6, 6 + 3 * payload[5], 3):
        header.missing_bits[payload[at]] = [_NEVER_SENT] * _COEFFICIENTS
        header.factors[payload[at]] = max(1, (payload[at + 1] >> 4) * (payload[at + 1] & 0x0F))
    return header
