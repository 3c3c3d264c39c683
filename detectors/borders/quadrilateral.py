"""The border of a held print or display: straight sides around a face that meet at corners and end there.

What tells the border from a door, a window or a poster behind a person: the lower side runs on beneath the face, where
a person's neck and shoulders would hide what is behind; or, if the picture cuts the lower side off, both other sides
run on down beside the face inside the breadth of shoulders.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.borders.lines import EdgeMap, Line
from detectors.face_mesh import Box
from detectors.frame import WorkingFrame

#: Long side of the picture in which lines are looked for.
SEARCH_SIDE = 320
#: A side is at least so long, in widths or heights of the face box.
_SHORTEST = 1.1
#: Least share of a side on which there are edge pixels; of the lower side also beneath the face alone.
_LEAST_COVER = 0.55
#: Least share of a side that lies inside the picture.
_LEAST_SEEN = 0.7
#: Sides of a border inside the picture.
_FEWEST_SIDES = 3
#: Edge pixels that a line needs at least, as a share of the face box's side.
_LEAST_VOTES = 0.35
#: Pixels of a stretch whose coverage says anything, and of a corner, which may be round.
_LEAST_STRETCH, _CORNER = 5, 3
#: Pixels of the smallest picture and face in which a border is looked for.
_LEAST_PICTURE, _LEAST_FACE = 32, 8
#: Slopes between opposite sides, and between neighbours and a right angle.
_UNLIKE, _OBLIQUE = 0.25, 0.2
#: Share of the picture's long side along its edges in which no side is looked for: files have lines of their own there.
_EDGE = 0.015
#: Deviation in grey levels below which what is outside of the sides is no scene but a frame that a program drew.
_DRAWN = 0.6
#: Beyond a corner, so much of the side's length is looked at: a line that runs on is none of a border.
_BEYOND = 0.25
#: Half breadth beyond the face box that shoulders have at least, and how far below the face, in face box sides.
_SHOULDERS, _BELOW_FACE = 0.75, 0.8

_Numbers = NDArray[np.float64]
_Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Border:
    """Border around a face. `evidence` in [0, 1]: how far the sides are there, less how far the sides run on beyond
    the corners. `corners`: (x, y) from upper left clockwise, shares of the picture's width and height."""

    evidence: float
    corners: tuple[tuple[float, float], ...]


def find_border(frame: WorkingFrame, box: Box) -> Border | None:
    """The likeliest border around the face, or None where no four (or three) lines could be one."""
    scale = min(1.0, SEARCH_SIDE / max(frame.width, frame.height))
    grey = frame.grey
    if scale < 1:
        size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    face = Box(box.left * scale, box.top * scale, box.right * scale, box.bottom * scale)
    if min(grey.shape) < _LEAST_PICTURE or min(face.width, face.height) < _LEAST_FACE:
        return None
    sides = _lines_around(grey, face)
    return None if sides is None else _Search(grey, face, sides).best()


def _lines_around(grey: NDArray[np.uint8], face: Box) -> list[list[Line]] | None:
    """Lines left, right, above and below the face; None as soon as too many sides have none, as in most pictures."""
    height, width = grey.shape
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.8)
    dx = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.25), np.float32)
    dy = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.25), np.float32)
    x, y = face.middle
    edge, tall, wide = _EDGE * max(grey.shape), _LEAST_VOTES * face.height, _LEAST_VOTES * face.width
    found: list[list[Line]] = []
    for across, along, searches in (  # above and below first: there most pictures have none
        (dy.T, dx.T, ((edge, face.top, x, wide), (face.bottom, height - 1 - edge, x, wide))),
        (dx, dy, ((edge, face.left, y, tall), (face.right, width - 1 - edge, y, tall))),
    ):
        edges = EdgeMap(across, along)
        for search in searches:
            found.append(edges.lines(*search))
            if found.count([]) > 4 - _FEWEST_SIDES:
                return None
    return found[2:] + found[:2]


class _Search:
    """Search over all combinations of a line on each side of the face; one of the sides may be the picture's edge."""

    def __init__(self, grey: NDArray[np.uint8], face: Box, sides: list[list[Line]]) -> None:
        self.face, self.grey = face, grey
        self.height, self.width = height, width = grey.shape
        self.left, self.right, self.top, self.bottom = (
            _Sides(lines, edge, limit, axis)
            for axis, (lines, edge, limit) in enumerate(
                zip(sides, (-1.0, width, -1.0, height), (height, height, width, width), strict=True)
            )
        )

    def best(self) -> Border | None:
        """Border with the most evidence; None where no combination can be one, or where the border is drawn."""
        top_left, bottom_left = self._crossing(self.left, self.top), self._crossing(self.left, self.bottom)
        top_right, bottom_right = self._crossing(self.right, self.top), self._crossing(self.right, self.bottom)
        left = self.left.measured(top_left[1], bottom_left[1], self.face.height)
        right = self.right.measured(top_right[1], bottom_right[1], self.face.height)
        top = self.top.measured(top_left[0], top_right[0], self.face.width)
        bottom = self.bottom.measured(bottom_left[0], bottom_right[0], self.face.width)
        evidence = _evidence((left, right, top, bottom))
        lower_ends = bottom_left[1], bottom_right[1]
        evidence = np.where(self._square() & self._before_the_person(top, bottom, lower_ends), evidence, 0.0)
        place = np.unravel_index(int(evidence.argmax()), evidence.shape)
        if evidence[place] <= 0:
            return None
        corners = np.array(
            [
                [np.broadcast_to(at, evidence.shape)[place] for at in corner]
                for corner in (top_left, top_right, bottom_right, bottom_left)
            ]
        )
        if self._is_drawn(corners):
            return None
        return Border(float(evidence[place]), tuple((x / self.width, y / self.height) for x, y in corners.tolist()))

    def _square(self) -> _Truths:
        """Whether at most one side is absent, opposite sides are nearly parallel, neighbours nearly at right angles."""
        left, right, top, bottom = self.left, self.right, self.top, self.bottom
        seen = sum((~side.absent).astype(np.int64) for side in (left, right, top, bottom))
        fits = seen >= _FEWEST_SIDES
        fits = fits & (np.abs(left.slope - right.slope) < _UNLIKE) & (np.abs(top.slope - bottom.slope) < _UNLIKE)
        for upright in (left, right):
            for level in (top, bottom):
                askew = np.abs(upright.slope + level.slope) >= _OBLIQUE
                fits = fits & ~(askew & ~upright.absent & ~level.absent)
        return np.asarray(fits, bool)

    def _before_the_person(self, top: _Measured, bottom: _Measured, lower_ends: tuple[_Numbers, _Numbers]) -> _Truths:
        """Whether the border runs on where a person before the border would hide it: beneath the face and down beside
        the face. A lower side that runs on beyond a corner, or ends at the picture's edge, may be a table's."""
        face = self.face
        beneath = self.bottom.cover(np.asarray(face.left), np.asarray(face.right)) >= _LEAST_COVER
        fits = np.where(self.bottom.absent, self._inside_shoulders() & self._ends(top), beneath & self._ends(bottom))
        for side, end in zip((self.left, self.right), lower_ends, strict=True):
            fits = fits & (side.absent | (side.cover(np.asarray(face.bottom), end) >= _LEAST_COVER))
        return np.asarray(fits, bool)

    def _ends(self, level: _Measured) -> _Truths:
        """Whether an upper or lower side is seen to end at its corners."""
        left, right = self.left.absent | (level.before < _LEAST_COVER), self.right.absent | (level.after < _LEAST_COVER)
        return np.asarray(left & right, bool)

    def _inside_shoulders(self) -> _Truths:
        face, room = self.face, _SHOULDERS * self.face.width
        left, right = (side.at(face.bottom, self.height) for side in (self.left, self.right))
        deep = self.height - face.bottom >= _BELOW_FACE * face.height
        return np.asarray((left > face.left - room) & (right < face.right + room) & deep, bool)

    def _is_drawn(self, corners: _Numbers) -> bool:
        """Whether the surroundings are one colour: a frame or bars added to a picture, as programs do."""
        outside = np.ones(self.grey.shape, np.uint8)
        cv2.fillConvexPoly(outside, np.round(corners).astype(np.int32), [0])
        around = self.grey[np.asarray(cv2.erode(outside, np.ones((7, 7), np.uint8))) > 0]
        return around.size == 0 or float(around.std()) < _DRAWN

    def _crossing(self, upright: _Sides, level: _Sides) -> tuple[_Numbers, _Numbers]:
        """x and y at which lines up and down meet lines left and right."""
        x_middle, y_middle = (self.width - 1) / 2, (self.height - 1) / 2
        y = (level.offset + level.slope * (upright.offset - upright.slope * y_middle - x_middle)) / (
            1 - level.slope * upright.slope
        )
        return upright.offset + upright.slope * (y - y_middle), y


@dataclass(frozen=True, slots=True)
class _Measured:
    """Side of a border in each combination: coverage between the corners and beyond both (nan where nothing is seen),
    whether the line may be a side, and whether the line is absent."""

    cover: _Numbers
    before: _Numbers
    after: _Numbers
    fits: _Truths
    absent: _Truths


class _Sides:
    """Lines that may be one side, and the picture's edge at `edge` for a side that is cut off; an axis of its own for
    each side, so that all combinations are one calculation. `limit`: pixels along the side inside the picture."""

    def __init__(self, lines: list[Line], edge: float, limit: int, axis: int) -> None:
        shape = [1, 1, 1, 1]
        shape[axis] = len(lines) + 1
        self.limit = limit
        self.offset = np.array([*(line.offset for line in lines), edge], np.float64).reshape(shape)
        self.slope = np.array([*(line.slope for line in lines), 0.0], np.float64).reshape(shape)
        self.absent = np.array([False] * len(lines) + [True]).reshape(shape)
        self._which = np.arange(len(lines) + 1).reshape(shape)
        self._below = np.stack([*(line.below for line in lines), np.zeros(limit + 1, np.int64)])

    def at(self, along: float, size: int) -> _Numbers:
        """Place of each line across its run, at pixel `along` of the `size` pixels it runs through."""
        return self.offset + self.slope * (along - (size - 1) / 2)

    def cover(self, start: _Numbers, end: _Numbers) -> _Numbers:
        """Share of the stretch inside the picture on which the line has edge pixels; nan for less than five pixels."""
        first = np.clip(np.ceil(start), 0, self.limit).astype(np.int64)
        last = np.clip(np.floor(end) + 1, 0, self.limit).astype(np.int64)
        count = self._below[self._which, last] - self._below[self._which, first]
        return np.where(last - first >= _LEAST_STRETCH, count / np.maximum(last - first, 1), np.nan)

    def measured(self, start: _Numbers, end: _Numbers, face_side: float) -> _Measured:
        """Measurement of the lines as sides from corner to corner, in pixels along the side."""
        length = end - start
        seen = np.minimum(end, self.limit - 1) - np.maximum(start, 0)
        cover = self.cover(start, end)
        fits = (length >= _SHORTEST * face_side) & (seen >= _LEAST_SEEN * length) & (cover >= _LEAST_COVER)
        before = self.cover(start - _BEYOND * length, start - _CORNER)
        after = self.cover(end + _CORNER, end + _BEYOND * length)
        return _Measured(cover, before, after, fits | self.absent, self.absent)


def _evidence(sides: tuple[_Measured, ...]) -> _Numbers:
    """Mean of the weakest side's coverage and of all sides', less half of the mean coverage beyond corners; 0 where a
    line can be no side. Corners beyond which nothing is seen count as half."""
    least, covered, number = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))
    running, ends, fits = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1), bool)
    for side in sides:
        least = np.minimum(least, np.where(side.absent, 1.0, side.cover))
        covered = covered + np.where(side.absent, 0.0, side.cover)
        number = number + ~side.absent
        fits = fits & side.fits
        for past in (side.before, side.after):
            running = running + np.where(side.absent | np.isnan(past), 0.0, past)
            ends = ends + ~(side.absent | np.isnan(past))
    beyond = np.where(ends > 0, running / np.maximum(ends, 1), 0.5)
    return np.where(fits, (least + covered / np.maximum(number, 1) - beyond) / 2, 0.0)
