"""A sitter: the person of one photograph as a surface in space, before a background without the person.

The face is MediaPipe's landmarks with their depth; hair and ears go back from the outline of the face as an ellipsoid
does, and motion fades out below the chin and away from the head. MediaPipe's selfie segmentation tells the person from
the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.face_mesh import Face, FaceMesh, open_mesh, pose_of
from tests.sequences.surface import HEIGHT, WIDTH, Floats, Ints, unprojected

Photo = NDArray[np.uint8]

#: Pixels of the photograph around the frame, for whatever moves into view.
MARGIN = 40
#: From hairline to chin as a share of the frame's height, and where the middle of that stands: a selfie's framing.
_FACE_HEIGHT, _FACE_MIDDLE = 0.34, 0.47
_LANDMARKS = 468
_FOREHEAD, _CHIN, _RIGHT, _LEFT = 10, 152, 234, 454
#: Outline of the face, in order (MediaPipe's FACEMESH_FACE_OVAL).
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_GRID = 26


@dataclass(frozen=True, eq=False)
class Sitter:
    """Sitter at rest. `texture` (h, w, 4) float32 BGR and cover of 0 to 1, `plate` (h, w, 3) float32 BGR, both with
    `MARGIN` around the frame; `seen` (n, 3) places and depth in the frame, landmarks first; `follows` (n,) how far
    a point goes with the head, 0 to 1; `pivot` (3,) in space; `yaw` of the photo, degrees; `face_width`, pixels."""

    texture: Floats
    plate: Floats
    seen: Floats
    follows: Floats
    triangles: Ints
    pivot: Floats
    yaw: float
    face_width: float

    @property
    def texels(self) -> Floats:
        return self.seen[:, :2] + MARGIN

    @property
    def picture(self) -> Floats:
        """The photograph as it was framed, with its own background: float32 BGR with the margin."""
        cover = self.texture[..., 3:]
        return self.texture[..., :3] * cover + self.plate * (1 - cover)


def sitter_of(photo: Photo) -> Sitter:
    """Sitter of a (height, width, 3) BGR photograph of one person who looks about straight into the camera.

    Raises ValueError if no face is found. The last few are kept.
    """
    return _sitter(photo.tobytes(), photo.shape)


@lru_cache(maxsize=8)
def _sitter(pixels: bytes, shape: tuple[int, ...]) -> Sitter:
    canvas = _framed(np.frombuffer(pixels, np.uint8).reshape(shape))
    face = face_of(canvas)
    marks = face.landmarks[:_LANDMARKS] - np.array([MARGIN, MARGIN, 0], np.float32)
    cover = _cover(canvas, marks)
    width = float(np.linalg.norm(marks[_RIGHT] - marks[_LEFT]))
    around, follows = _around(marks, cover)
    seen = np.vstack([marks, around]).astype(np.float32)
    ears = (marks[_RIGHT] + marks[_LEFT]) / 2
    pivot = unprojected(np.array([[ears[0], marks[_CHIN][1], ears[2] + 0.1 * width]], np.float32))[0]
    return Sitter(
        texture=np.dstack([canvas.astype(np.float32), cover]),
        plate=_plate(canvas, cover),
        seen=seen,
        follows=np.concatenate([np.ones(_LANDMARKS, np.float32), follows]),
        triangles=_delaunay(seen[:, :2]),
        pivot=pivot,
        yaw=pose_of(face.transform).yaw,
        face_width=width,
    )


@cache
def mesh() -> FaceMesh:
    """The face mesh of this process, as the sitters and the tests of sequences use it."""
    return open_mesh(None, min_face_confidence=0.5)


def face_of(picture: Photo) -> Face:
    """The largest face; raises ValueError if there is none."""
    found = mesh().find(picture)
    if not found:
        raise ValueError("no face is found on the photograph")
    return found[0]


def framing_scale(face: Face) -> float:
    """Pixels of the frame for one of the photograph: above 1 a frame is magnified, which no camera's picture is."""
    marks = face.landmarks[:, :2].astype(np.float64)
    return _FACE_HEIGHT * HEIGHT / float(np.linalg.norm(marks[_FOREHEAD] - marks[_CHIN]))


def _framed(photo: Photo) -> Photo:
    """The photograph turned upright, scaled and cut to the frame with its margin, blurred on beyond its own edges."""
    face = face_of(photo)
    marks, scale = face.landmarks[:, :2].astype(np.float64), framing_scale(face)
    middle, across = (marks[_FOREHEAD] + marks[_CHIN]) / 2, marks[_LEFT] - marks[_RIGHT]
    if scale < 1:
        photo = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        middle, scale = middle * scale, 1.0
    place = cv2.getRotationMatrix2D(
        (float(middle[0]), float(middle[1])), float(np.degrees(np.arctan2(across[1], across[0]))), scale
    )
    place[:, 2] += np.array([WIDTH / 2, HEIGHT * _FACE_MIDDLE]) + MARGIN - middle
    size = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
    canvas = cv2.warpAffine(photo, place, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full(photo.shape[:2], 255, np.uint8), place, size)
    soft = cv2.blur(cv2.erode(inside, np.ones((9, 9))), (9, 9))[..., None].astype(np.float32) / 255
    beyond = cv2.GaussianBlur(canvas, (0, 0), 25)
    return np.asarray(canvas * soft + beyond * (1 - soft), np.uint8)


def _cover(canvas: Photo, marks: Floats) -> Floats:
    """Share of the person in each pixel, 0 to 1; 1 all over the face."""
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    with SelfieSegmentation(model_selection=0) as segmentation:
        found = segmentation.process(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)).segmentation_mask
    sharper = np.clip((np.asarray(found, np.float32) - 0.3) / 0.5, 0, 1)
    face = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(face, [np.round(marks[list(OVAL), :2] + MARGIN).astype(np.int32)], 1)
    return np.asarray(np.maximum(sharper, cv2.GaussianBlur(face.astype(np.float32), (0, 0), 2)), np.float32)


def _plate(canvas: Photo, cover: Floats) -> Floats:
    """The background with the person painted over from its surroundings, float32 BGR."""
    person = cv2.dilate((cover > 0.05).astype(np.uint8), np.ones((17, 17)))
    small = [cv2.resize(each, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for each in (canvas, person * 255)]
    filled = cv2.inpaint(small[0], (small[1] > 0).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    smooth = cv2.resize(cv2.GaussianBlur(filled, (0, 0), 4), canvas.shape[1::-1]).astype(np.float32)
    share = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 3)[..., None]
    return smooth * share + canvas * (1 - share)


def _around(marks: Floats, cover: Floats) -> tuple[Floats, Floats]:
    """Points of hair, ears, neck and body outside the face: seen (n, 3) and how far they follow the head (n,)."""
    outline = marks[list(OVAL), :2]
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    near = cv2.dilate((cover > 0.02).astype(np.uint8), np.ones((81, 81)))
    face = np.zeros(cover.shape, np.uint8)
    cv2.fillPoly(face, [np.round(middle + 1.2 * (outline - middle) + MARGIN).astype(np.int32)], 1)
    steps = (np.append(np.arange(0, side - 1, _GRID), side - 1) for side in cover.shape)
    rows, columns = (each.ravel() for each in np.meshgrid(*steps, indexing="ij"))
    kept = (near[rows, columns] > 0) & (face[rows, columns] == 0)
    grid = np.column_stack([columns[kept], rows[kept]]).astype(np.float32) - MARGIN
    across = _from_head(grid, marks)
    fade = np.clip((across - 1.0) / 0.7, 0, 1)
    seen = np.vstack([*_rim(marks), np.column_stack([grid, _depth(grid, across, marks)])])
    follows = np.concatenate([np.ones(len(seen) - len(grid)), 1 - fade**2 * (3 - 2 * fade)])
    return seen.astype(np.float32), follows.astype(np.float32)


def _rim(marks: Floats) -> tuple[Floats, Floats]:
    """Points between the landmarks of the face's outline, and on a ring around it that goes on as deep as it is: dense
    enough that triangles follow the outline, which would become a saw when the head turns."""
    outline = marks[list(OVAL)]
    following = np.roll(outline, -1, axis=0)
    thirds = [outline + (following - outline) * share for share in (1 / 3, 2 / 3)]
    ring = np.vstack([outline, *thirds])
    middle = (ring[:, :2].min(axis=0) + ring[:, :2].max(axis=0)) / 2
    ring[:, :2] = middle + 1.1 * (ring[:, :2] - middle)
    return np.vstack(thirds), ring


def _depth(places: Floats, across: Floats, marks: Floats) -> Floats:
    """Depth of places outside the face (n,): from the face's outline back to the plane of the ears in a quarter of an
    ellipse, the rim of the head."""
    outline, ears = marks[list(OVAL)], (marks[_RIGHT, 2] + marks[_LEFT, 2]) / 2
    apart = np.linalg.norm(places[:, None] - outline[None, :, :2], axis=2)
    near = 1 / np.maximum(apart, 1) ** 4
    near /= near.sum(axis=1, keepdims=True)
    start, begun = near @ outline[:, 2], near @ _from_head(outline[:, :2], marks)
    gone = np.clip((across - begun) / np.maximum(1 - begun, 0.35), 0, 1)
    return np.asarray(start + (ears - start) * (1 - np.sqrt(1 - gone**2)), np.float32)


def _from_head(places: Floats, marks: Floats) -> Floats:
    """Distance of places (n, 2) from the head's middle; 1 on its outline, an ellipse from chin to crown."""
    top, chin = marks[_FOREHEAD], marks[_CHIN]
    crown = top[1] - 0.28 * (chin[1] - top[1])
    middle = np.array([(marks[_RIGHT, 0] + marks[_LEFT, 0]) / 2, (crown + chin[1]) / 2])
    radii = np.array([0.6 * (marks[_LEFT, 0] - marks[_RIGHT, 0]), (chin[1] - crown) / 2])
    return np.asarray(np.linalg.norm((places - middle) / radii, axis=1), np.float32)


def _delaunay(places: Floats) -> Ints:
    """Triangles (t, 3) over places (n, 2)."""
    low, high = np.floor(places.min(axis=0)) - 2, np.ceil(places.max(axis=0)) + 2
    plane = cv2.Subdiv2D((int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])))
    plane.insert([(float(x), float(y)) for x, y in places])
    number = {tuple(place): index for index, place in enumerate(places.tolist())}
    corners = np.asarray(plane.getTriangleList()).reshape(-1, 3, 2).tolist()
    found = [[number.get(tuple(corner)) for corner in triangle] for triangle in corners]
    return np.array([each for each in found if None not in each], np.intp)
