"""Frequency fingerprint: statistics of the face region's spectrum. Upsampling layers, pixel grids and print
dots leave regular peaks and favoured directions (Durall et al., "Watch your Up-Convolution", CVPR 2020;
Zhang et al., "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019).

So does the rim of glasses, once a turned head brings a single lens into the middle of the face. A fingerprint is all
over the face, a rim is not below the eyes: of a turned head the lower face is measured too, and what both show counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.signals.base import Curve, FaceObservation, Words, scored
from detectors.signals.crops import centre_crop

#: About ring kurtosis, high-frequency ratio, azimuthal variance.
_NATURAL = "The frequencies are those of a camera's picture"
_WORDS = (
    Words(_NATURAL, "Some frequencies stand out a little", "Frequencies stand out as of a regular grid"),
    Words(_NATURAL, "Fine detail is a little off a camera's", "Fine detail is far more or less than a camera's"),
    Words(_NATURAL, "Detail runs somewhat in one direction", "Detail runs mostly in one direction"),
)

#: Pixels of the square crop, at the working frame's own resolution.
CROP_SIDE = 128

#: Degrees of yaw from which a head is turned, as in `ActivePolicy`, and the share of the face's height by which the
#: second crop is lower. 8 or 12 degrees, 0.15 or 0.25 change no count of docs/DETECTION.md by more than one.
_TURNED, _LOWER = 10.0, 0.2

#: Frequencies in cycles per pixel. Rings and directions start where a face's own shape has ended;
#: `_HIGH` is set so that the test photographs' median high-frequency ratio is the published 0.65.
_LOWEST_RING, _HIGH, _LOWEST_DIRECTION, _NYQUIST = 1 / 16, 0.0675, 0.1, 0.5
_SECTORS = 16

#: Kurtosis of the amplitudes of a Gaussian spectrum (a Rayleigh distribution) is 3.25.
_NATURAL_KURTOSIS = 3.0


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Three measurements of one crop.

    `ring_kurtosis`: mean over rings of equal frequency of the amplitudes' kurtosis; about 3 for natural
    pictures, more where peaks stick out. `high_frequency_ratio`: amplitude beyond `_HIGH` over all of it,
    0..1. `azimuthal_variance`: standard deviation over mean of the ring-normalised amplitude by direction.
    """

    ring_kurtosis: float
    high_frequency_ratio: float
    azimuthal_variance: float


class SpectrumMeter:
    """Window and bin tables for crops of one size, made once."""

    def __init__(self, side: int) -> None:
        self._window = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
        rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
        radius = np.hypot(rows, columns).ravel()
        direction = (np.arctan2(rows, columns + 0 * rows) % np.pi).ravel()
        self._all = np.flatnonzero((radius > 1 / side) & (radius <= _NYQUIST))
        self._high = np.flatnonzero((radius > _HIGH) & (radius <= _NYQUIST))
        self._ringed = np.flatnonzero((radius >= _LOWEST_RING) & (radius <= _NYQUIST))
        ring = np.round(radius[self._ringed] * side).astype(np.intp)
        self._ring = ring - ring.min()
        self._ring_sizes = np.bincount(self._ring)
        self._directed = np.flatnonzero(radius[self._ringed] > _LOWEST_DIRECTION)
        sector = (direction[self._ringed] * (_SECTORS / np.pi)).astype(np.intp)
        self._sector = np.minimum(sector, _SECTORS - 1)[self._directed]
        self._sector_sizes = np.bincount(self._sector, minlength=_SECTORS)

    def measure(self, crop: NDArray[np.uint8]) -> Spectrum:
        """Spectrum statistics of a uint8 (side, side) crop; a flat crop measures (3, 0, 0)."""
        signal = crop.astype(np.float32)
        amplitude = np.abs(np.fft.rfft2((signal - signal.mean()) * self._window)).ravel()
        total = float(amplitude[self._all].sum())
        if total <= 0:
            return Spectrum(_NATURAL_KURTOSIS, 0.0, 0.0)
        ringed = amplitude[self._ringed]
        means = self._ring_means(ringed)
        relative = ringed / np.maximum(means, np.finfo(np.float32).tiny)[self._ring]
        return Spectrum(
            ring_kurtosis=self._kurtosis(relative),
            high_frequency_ratio=float(amplitude[self._high].sum()) / total,
            azimuthal_variance=self._variation(relative),
        )

    def _ring_means(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self._ring, values) / self._ring_sizes, np.float64)

    def _kurtosis(self, relative: NDArray[np.floating]) -> float:
        """Mean over rings of E[(x - m)^4] / E[(x - m)^2]^2; an even ring counts as natural."""
        squares = (relative - self._ring_means(relative)[self._ring]) ** 2
        second, fourth = self._ring_means(squares), self._ring_means(squares**2)
        even = second < 1e-12
        return float(np.where(even, _NATURAL_KURTOSIS, fourth / np.where(even, 1.0, second**2)).mean())

    def _variation(self, relative: NDArray[np.floating]) -> float:
        by_sector = np.bincount(self._sector, relative[self._directed]) / self._sector_sizes
        return float(by_sector.std() / max(by_sector.mean(), 1e-12))


class FftDeepfake:
    """The weakest of the three sub-metrics counts three quarters, their mean one quarter: a fingerprint
    seldom shows in all three."""

    name = "fft_deepfake"

    def __init__(self, parameters: SignalParameters) -> None:
        self._meter = SpectrumMeter(CROP_SIDE)
        self._baseline = parameters.fft_hf_ratio_baseline
        ceiling, limit = parameters.fft_kurtosis_max, parameters.fft_az_variance_max
        # Test photographs 3.0 to 4.4 (5.4 cropped tightly); simulated recaptures from 5.8, upsampling from
        # 7.2, prints and screens from 8.5.
        self._kurtosis = Curve(
            (ceiling / 4, 1.0), (0.3625 * ceiling, 0.85), (ceiling / 2, 0.4), (ceiling * 2 / 3, 0.12), (ceiling, 0.0)
        )
        # Test photographs 0.52 to 0.75, so within 0.13 of 0.65; simulated recaptures down to 0.34.
        self._high_frequency = Curve((0.08, 1.0), (0.15, 0.8), (0.25, 0.4), (0.45, 0.0))
        # Test photographs 0.05 to 0.31, bona fide pictures of other collections up to 0.62; simulated upsampling from
        # 0.33, screens from 0.50. Beyond the limit the signal fails, however good the other two are: 0.4 alone leaves
        # `liveness` at 0.5.
        self._azimuthal = Curve((0.6 * limit, 1.0), (0.86 * limit, 0.8), (limit, 0.4), (2.2 * limit, 0.0))

    def read(self, seen: FaceObservation) -> Reading:
        spectrum = self._spectrum(seen)
        measure = (
            f"ring kurtosis {spectrum.ring_kurtosis:.1f}, high-frequency ratio "
            f"{spectrum.high_frequency_ratio:.2f}, azimuthal variance {spectrum.azimuthal_variance:.2f}"
        )
        liveness = self.liveness(spectrum)
        return scored(self, liveness, self._words(spectrum).about(liveness, measure), weak="periodic_spectrum")

    def _spectrum(self, seen: FaceObservation) -> Spectrum:
        """Spectrum of the middle of the face; of a turned head, with no more peaks and direction than lower down. A
        lower face of one tone, black or over-exposed, tells nothing."""
        box = seen.face.box
        middle = self._meter.measure(centre_crop(seen.frame, box, CROP_SIDE))
        if abs(seen.pose.yaw) < _TURNED:
            return middle
        down = _LOWER * box.height
        below = replace(box, top=box.top + down, bottom=box.bottom + down)
        crop = centre_crop(seen.frame, below, CROP_SIDE)
        if not np.ptp(crop):
            return middle
        lower = self._meter.measure(crop)
        return replace(
            middle,
            ring_kurtosis=min(middle.ring_kurtosis, lower.ring_kurtosis),
            azimuthal_variance=min(middle.azimuthal_variance, lower.azimuthal_variance),
        )

    def _words(self, spectrum: Spectrum) -> Words:
        """Words about the weakest of the three measurements, which moves the score most."""
        parts = self._parts(spectrum)
        return _WORDS[parts.index(min(parts))]

    def liveness(self, spectrum: Spectrum) -> float:
        """Score of the three measurements, 0..1, 1 = like a camera picture."""
        parts = self._parts(spectrum)
        return 0.75 * min(parts) + 0.25 * sum(parts) / len(parts)

    def _parts(self, spectrum: Spectrum) -> tuple[float, float, float]:
        return (
            self._kurtosis(spectrum.ring_kurtosis),
            self._high_frequency(abs(spectrum.high_frequency_ratio - self._baseline)),
            self._azimuthal(spectrum.azimuthal_variance),
        )
