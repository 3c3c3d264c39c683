"""Textured surfaces in space, drawn by a rasteriser of triangles: a head, or a print in a hand.

Space: x right and y down in pixels of the frame, z away from the camera in the same scale. The camera stands at
`DISTANCE` before z = 0, on the axis through the frame's middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

WIDTH, HEIGHT = 540, 720
#: Focal length in pixels of a camera that sees 63 degrees from top to bottom, as MediaPipe's virtual camera does: the
#: distance at which a pixel of the frame and of a face have the same size.
DISTANCE = HEIGHT / 2 / math.tan(math.radians(63) / 2)
_CENTRE = np.array([WIDTH / 2, HEIGHT / 2], np.float32)


@dataclass(frozen=True)
class Surface:
    """Surface of triangles (t, 3) over points (n, 3) in space; point i shows pixel `texels[i]` of the texture."""

    points: Floats
    texels: Floats
    triangles: Ints


@dataclass(frozen=True)
class Drawn:
    """Drawing of a surface over (HEIGHT, WIDTH): where to read the texture, where the surface is at all, and the values
    that its points had, 0 elsewhere."""

    texels: Floats
    covered: NDArray[np.bool_]
    values: Floats


def unprojected(seen: Floats) -> Floats:
    """Points in space (n, 3) that are seen at (x, y) with depth z."""
    points = seen.astype(np.float32).copy()
    points[:, :2] = (seen[:, :2] - _CENTRE) * (1 + seen[:, 2:] / DISTANCE)
    return points


def projected(points: Floats) -> Floats:
    """Places in the frame (n, 2) of points in space (n, 3)."""
    return np.asarray(points[:, :2] / (1 + points[:, 2:] / DISTANCE) + _CENTRE, np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """Matrix (3, 3) to multiply column vectors with; degrees, signs as in `detectors.face_mesh.pose`."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_y = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), math.sin(r), 0], [-math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float32)


def normals(surface: Surface) -> Floats:
    """Unit normals of the points (n, 3), towards the camera (z < 0)."""
    a, b, c = (surface.points[surface.triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)
    facing *= np.where(facing[:, 2:] > 0, -1, 1)
    corners, total = surface.triangles.T.ravel(), len(surface.points)
    summed = np.stack([np.bincount(corners, np.tile(facing[:, k], 3), total) for k in range(3)], axis=1)
    return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-6), np.float32)


def draw(surface: Surface, shift: Floats, values: Floats | None = None) -> Drawn:
    """Drawing of the surface, every place in the frame moved by `shift` (2,) pixels, as by a camera that shakes.

    Worked out on every second pixel and read linearly between them, which a quarter of the time pays for.
    """
    half = np.asarray((projected(surface.points) + shift - 0.5) / 2, np.float32)
    owner = _owners(half, surface.points[:, 2], surface.triangles, (HEIGHT // 2, WIDTH // 2))
    values = np.zeros(len(surface.points), np.float32) if values is None else values
    small = _interpolated(half, surface.triangles, owner, np.column_stack([surface.texels, values]))
    whole = np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32)
    covered = cv2.resize((owner >= 0).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) > 0.99
    return Drawn(whole[..., :2], covered, np.where(covered, whole[..., 2], 0))


def read(texture: Floats, drawn: Drawn) -> Floats:
    """The texture (h, w, channels) as the drawing shows it, (HEIGHT, WIDTH, channels), mirrored beyond its edges."""
    columns, rows = (np.ascontiguousarray(drawn.texels[..., k]) for k in (0, 1))
    return np.asarray(
        cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.float32
    )


def _owners(points: Floats, depth: Floats, triangles: Ints, shape: tuple[int, int]) -> NDArray[np.int32]:
    """The number of the triangle that each pixel shows, -1 for none: the nearest one is painted last."""
    height, width = shape
    order = np.argsort(-depth[triangles].mean(axis=1), kind="stable")
    corners = points[triangles[order]]
    low = np.clip(np.ceil(corners.min(axis=1)), 0, (width, height)).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1)) + 1, 0, (width, height)).astype(np.int64)
    spans = np.maximum(high - low, 0)
    counts = spans[:, 0] * spans[:, 1]
    which = np.repeat(np.arange(len(order)), counts)
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    x = (low[which, 0] + inside % spans[which, 0]).astype(np.float32)
    y = (low[which, 1] + inside // spans[which, 0]).astype(np.float32)
    hit = np.ones(len(which), bool)
    edges = _edges(corners)
    for k in range(3):
        a, b, c = (edges[which, k, j] for j in range(3))
        hit &= a * x + b * y + c >= -1e-3
    owner = np.full(height * width, -1, np.int32)
    owner[(y[hit] * width + x[hit]).astype(np.int64)] = order[which[hit]]
    return owner.reshape(shape)


def _edges(corners: Floats) -> Floats:
    """Coefficients (t, 3, 3) of each triangle's barycentric coordinates `a x + b y + c`; -1 for an empty one."""
    x, y = corners[..., 0].astype(np.float64), corners[..., 1].astype(np.float64)
    nx, ny, px, py = (np.roll(each, shift, axis=1) for shift in (-1, -2) for each in (x, y))
    area = ((x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0]))[:, None]
    coefficients = np.stack([ny - py, px - nx, nx * py - px * ny], axis=-1)
    empty = np.abs(area) < 1e-9
    scaled = coefficients / np.where(empty, 1, area)[..., None]
    scaled[empty[:, 0]] = (0, 0, -1)
    return np.asarray(scaled, np.float32)


def _interpolated(points: Floats, triangles: Ints, owner: NDArray[np.int32], values: Floats) -> Floats:
    """Values of the points (n, k) over the pixels (height, width, k), linear in each triangle; 0 where none is."""
    weights = _edges(points[triangles])
    planes = np.einsum("tij,tik->tjk", weights, values[triangles]).astype(np.float32)
    rows, columns = np.mgrid[0 : owner.shape[0], 0 : owner.shape[1]].astype(np.float32)
    taken = planes[owner]
    found = taken[..., 0, :] * columns[..., None] + taken[..., 1, :] * rows[..., None] + taken[..., 2, :]
    found[owner < 0] = 0
    return np.asarray(found, np.float32)
