"""Skin micro-texture: uniform local binary patterns (Ojala, Pietikainen and Maenpaa, "Multiresolution
gray-scale and rotation invariant texture classification with local binary patterns", PAMI 2002)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored
from detectors.signals.crops import centre_crop

_WORDS = Words(
    "The skin has fine texture", "The skin has little fine texture", "The skin is nearly without fine texture"
)

CROP_SIDE = 96
#: 58 uniform patterns (at most two changes around the circle) and one bin for all others.
BINS = 59
MAX_ENTROPY_BITS = float(np.log2(BINS))

#: (row, column) of the eight neighbours around the circle, radius 1.
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _uniform_table() -> NDArray[np.uint8]:
    """Pattern code (0..255) -> bin: uniform patterns 0..57 in order of code, the rest 58."""
    codes = np.arange(256)
    rotated = (codes >> 1) | ((codes & 1) << 7)
    changes = np.bitwise_count(codes ^ rotated)
    table = np.full(256, BINS - 1, np.uint8)
    uniform = codes[changes <= 2]
    table[uniform] = np.arange(len(uniform))
    return table


_BIN_OF_CODE = _uniform_table()


def lbp_histogram(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares (59,) of the uniform patterns in a uint8 (height, width) crop, summing to 1."""
    centre = crop[1:-1, 1:-1]
    rows, columns = centre.shape
    codes = np.zeros(centre.shape, np.uint8)
    for bit, (row, column) in enumerate(_NEIGHBOURS):
        neighbour = crop[row : row + rows, column : column + columns]
        codes |= (neighbour >= centre).view(np.uint8) << np.uint8(bit)
    counts = np.bincount(_BIN_OF_CODE[codes].ravel(), minlength=BINS)
    return np.asarray(counts / counts.sum(), np.float64)


def entropy_bits(histogram: NDArray[np.float64]) -> float:
    """Shannon entropy of the shares, bits: 0 (one pattern) to 5.88 (all 59 alike)."""
    filled = histogram[histogram > 0]
    return float(-(filled * np.log2(filled)).sum())


class LbpTexture:
    name = "lbp_texture"

    def __init__(self, parameters: SignalParameters) -> None:
        limit = parameters.lbp_dominant_bin_spoof_threshold
        # Test photographs 5.04 to 5.39 bits; simulated screens 4.4 to 4.7, recaptures 4.7 to 5.05.
        self._entropy = Curve((2.5, 0.0), (4.0, 0.34), (4.6, 0.55), (5.04, 0.8), (5.4, 1.0))
        # Test photographs 0.07 to 0.25. With the default limit of 0.60 spoofs exceed 0.65: the second point.
        room = 1 - limit
        self._dominant = Curve((0.5 * limit, 1.0), (limit, 0.4), (limit + room / 8, 0.3), (limit + room * 2 / 3, 0.0))

    def read(self, seen: FaceObservation) -> Reading:
        histogram = lbp_histogram(centre_crop(seen.frame, seen.face.box, CROP_SIDE))
        entropy, dominant = entropy_bits(histogram), float(histogram.max())
        liveness = self.liveness(entropy_bits=entropy, dominant=dominant)
        measure = f"LBP entropy {entropy:.2f} of {MAX_ENTROPY_BITS:.2f} bits, most frequent pattern {dominant:.0%}"
        return scored(self, liveness, _WORDS.about(liveness, measure), weak="flat_texture")

    def liveness(self, *, entropy_bits: float, dominant: float) -> float:
        """Score of the two measurements, 0..1: the weaker counts, either alone gives a flat medium away."""
        return min(self._entropy(entropy_bits), self._dominant(dominant))
