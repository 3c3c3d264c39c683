"""Straight lines of a picture by a Hough transform in which each edge pixel votes for its own direction only (Ballard,
"Generalizing the Hough transform to detect arbitrary shapes", 1981). The work is bounded by the picture's size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Slopes (horizontal over vertical pixels) that are tried: lines up to 22 degrees off the vertical.
_STEP = 0.02
_SLOPES = np.arange(-20, 21) * _STEP
#: A pixel's own direction is uncertain by a few slopes.
_SPREAD = 3
#: Slopes that pixels vote for: edge pixels are up to 0.5 off the vertical.
_VOTED = np.arange(-25 - _SPREAD, 26 + _SPREAD) * _STEP
#: Grey levels a pixel, across the line: weaker edges are noise of the sensor.
_WEAKEST_EDGE = 10.0
#: Pixels between a line and an edge pixel that belongs to it, at first and when fitted.
_NEAR, _ON = 2.5, 1.6
#: Pixels between two lines on one side of the face: nearer ones are one line, seen askew.
_APART = 4.0
#: Edge pixels to which a line can be fitted.
_FEWEST = 8
#: Slopes between a line and an edge pixel's direction.
_ASKEW = 0.15
#: Lines to keep on each side of the face: bounds the work of combining lines.
MOST_LINES = 5


@dataclass(frozen=True, slots=True)
class Line:
    """Line `x = offset + slope * (y - middle)`, pixels. `below[y]`: number of rows above row y in which edge pixels
    lie on the line (height + 1 numbers), from which any stretch's coverage follows."""

    offset: float
    slope: float
    below: NDArray[np.int64]


class EdgeMap:
    """Edge pixels of a picture that run up and down, and their votes for lines.

    `across` and `along` are the picture's derivatives in x and y, float32 (height, width), grey levels a pixel. For
    lines that run left and right give both transposed and swapped.
    """

    def __init__(self, across: NDArray[np.float32], along: NDArray[np.float32]) -> None:
        across, along = np.ascontiguousarray(across), np.ascontiguousarray(along)
        self.height, self.width = across.shape
        self.middle = (self.height - 1) / 2
        strength = np.abs(across)
        inner = strength[:, 1:-1]
        ridge = (inner > _WEAKEST_EDGE) & (inner >= strength[:, :-2]) & (inner > strength[:, 2:])
        place = np.flatnonzero(ridge)
        place += place // (self.width - 2) * 2 + 1  # of the whole picture's pixels
        across, along = across.ravel()[place], along.ravel()[place]
        steep = np.abs(across) > 2 * np.abs(along)
        self._y, x = np.divmod(place[steep], self.width)
        self._x = x.astype(np.float64)
        self._slope = -along[steep] / across[steep]
        self._down = self._y - self.middle
        self._pad = int(_SLOPES[-1] * self.height / 2) + 2
        self._votes = self._vote()

    def lines(self, first: float, last: float, row: float, least: float) -> list[Line]:
        """Lines that cross `row` between columns `first` and `last`, most votes first, at most `MOST_LINES`; each
        has at least `least` edge pixels."""
        if first >= last:  # the face reaches over the picture's edge
            return []
        shifts = _SLOPES * (row - self.middle)
        start = max(0, math.floor(first - shifts.max()) + self._pad)  # of the offsets that some slope can have there
        stop = max(start + 1, math.ceil(last - shifts.min()) + self._pad + 1)
        tried = self._votes[:, start:stop]
        columns = np.arange(start, start + tried.shape[1])[None, :] - self._pad + shifts[:, None]
        votes = np.where((columns > first) & (columns < last), tried, 0)
        found: list[Line] = []
        for _ in range(MOST_LINES):
            slope, offset = divmod(int(votes.argmax()), votes.shape[1])
            if votes[slope, offset] < least:
                break
            votes[np.abs(columns - columns[slope, offset]) < _APART] = 0
            line = self._fitted(float(start + offset - self._pad), float(_SLOPES[slope]))
            if line is not None and first < line.offset + line.slope * (row - self.middle) < last:
                found.append(line)
        return found

    def _vote(self) -> NDArray[np.float64]:
        """Edge pixels for each line (slope, offset), half of the neighbouring offsets' added."""
        nearest = np.round(self._slope / _STEP).astype(np.int64) + len(_VOTED) // 2
        pad = int(_VOTED[-1] * self.height / 2) + 2
        width = self.width + 2 * pad
        places = np.empty((2 * _SPREAD + 1, len(nearest)), np.int64)
        for place, slope in zip(places, range(-_SPREAD, _SPREAD + 1), strict=True):  # piece by piece: it fits the cache
            voted = nearest + slope
            np.rint(self._x - _VOTED[voted] * self._down, out=place, casting="unsafe")
            place += voted * width + pad
        votes = np.bincount(places.ravel(), minlength=len(_VOTED) * width).reshape(len(_VOTED), width)
        rows, columns = (len(_VOTED) - len(_SLOPES)) // 2, pad - self._pad
        table = votes[rows:-rows, columns:-columns].astype(np.float64)
        table[:, 1:-1] += (table[:, :-2] + table[:, 2:]) / 2
        return table

    def _fitted(self, offset: float, slope: float) -> Line | None:
        """The line moved to its edge pixels by least squares; None where too few are near."""
        for near in (_NEAR, _ON):
            mine = self._of(offset, slope, near)
            if len(mine) < _FEWEST:
                return None
            rows, columns = self._down[mine], self._x[mine]
            middle = float(rows.mean())
            away = rows - middle
            spread = float((away * away).sum())
            slope = float((away * columns).sum()) / spread if spread else 0.0
            offset = float(columns.mean() - slope * middle)
        rows = np.zeros(self.height, bool)
        rows[self._y[self._of(offset, slope, _ON)]] = True
        closed = rows.copy()  # single missing rows are noise
        closed[1:] |= rows[:-1]
        closed[:-1] |= rows[1:]
        return Line(offset, slope, np.concatenate(([0], np.cumsum(closed))))

    def _of(self, offset: float, slope: float, near: float) -> NDArray[np.intp]:
        """Numbers of the edge pixels on a line."""
        away = self._x - offset
        away -= slope * self._down
        found = np.flatnonzero(np.abs(away, out=away) < near)
        return np.asarray(found[np.abs(self._slope[found] - slope) < _ASKEW], np.intp)
