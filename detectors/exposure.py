"""Exposure of a face: what counts as too dark and too bright, once for selfies and for active liveness."""

from __future__ import annotations

from dataclasses import dataclass

#: Mean grey level (8 bit) of the face below or above which a picture is too dark or too bright. 62 bona fide pictures
#: lie between 83 and 169.
DARK_GREY, BRIGHT_GREY = 50.0, 215.0
#: Share of the face's pixels at `CLIPPED_FROM` and more from which a picture is too bright: the grey levels that
#: ISO/IEC 29794-5 counts as over-exposed. The same 62 pictures have 0.015 at most; with twice the light 45 of them are
#: too bright, with four times 60.
CLIPPED_FROM, CLIPPED_SHARE = 247, 0.06


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure of a face: mean grey level of its box, 0 to 255, and the share of clipped pixels in the box's middle."""

    brightness: float
    clipped: float

    @property
    def too_dark(self) -> bool:
        return self.brightness < DARK_GREY

    @property
    def too_bright(self) -> bool:
        return self.brightness > BRIGHT_GREY or self.clipped > CLIPPED_SHARE
