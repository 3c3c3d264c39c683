"""Drawing of a framed face on its working frame: landmarks, face box and the axes of the head pose."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.analysis import FramedFace
from detectors.face_mesh import Face
from detectors.face_mesh.pose import rotation_of

#: BGR. Axes as usual: x red, y green, z (out of the face) blue.
_LANDMARK, _BOX = (0, 200, 0), (0, 215, 255)
_AXES = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
_NOSE_TIP = 4


def draw(framed: FramedFace) -> NDArray[np.uint8]:
    """Copy of the working frame, uint8 (height, width, 3) BGR, with the drawing on it."""
    canvas = framed.seen.frame.bgr.copy()
    face = framed.seen.face
    for x, y in np.rint(face.landmarks[:, :2]).astype(int).tolist():
        cv2.circle(canvas, (x, y), 1, _LANDMARK, cv2.FILLED)
    corners = np.rint((face.box.left, face.box.top, face.box.right, face.box.bottom)).astype(int).tolist()
    cv2.rectangle(canvas, (corners[0], corners[1]), (corners[2], corners[3]), _BOX, 2)
    _draw_axes(canvas, face)
    return canvas


def annotate(framed: FramedFace, path: Path) -> None:
    """Write the drawing as a PNG; raises OSError. Called by the command line on a person's request only: the drawing
    shows the photograph, which nothing else in the product keeps."""
    encoded, png = cv2.imencode(".png", draw(framed))
    if not encoded:
        raise OSError("the annotated picture could not be encoded")
    path.write_bytes(png.tobytes())


def _draw_axes(canvas: NDArray[np.uint8], face: Face) -> None:
    """The canonical face's axes from the nose tip, half a face wide, without perspective."""
    rotation = rotation_of(face.transform)
    start = face.landmarks[_NOSE_TIP, :2]
    for axis, colour in enumerate(_AXES):
        direction = rotation[:2, axis] * (1.0, -1.0)  # the picture's y points down
        end = start + direction * face.box.width / 2
        points = np.rint((start, end)).astype(int).tolist()
        cv2.line(canvas, tuple(points[0]), tuple(points[1]), colour, 3, cv2.LINE_AA)
