"""Grey square crops of a face, at the working frame's own resolution because texture must not be resampled.

The crop of a smaller face shows its surroundings too; the framing notes say that the face is small.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.face_mesh import Box
from detectors.frame import WorkingFrame


def centre_crop(frame: WorkingFrame, box: Box, side: int) -> NDArray[np.uint8]:
    """uint8 (side, side) around the centre of `box`, moved inside the frame; a frame smaller than the crop is
    reflected at its borders."""
    x, y = box.middle
    left = max(0, min(round(x - side / 2), frame.width - side))
    top = max(0, min(round(y - side / 2), frame.height - side))
    crop = frame.grey[top : top + side, left : left + side]
    missing_rows, missing_columns = side - crop.shape[0], side - crop.shape[1]
    if missing_rows or missing_columns:
        crop = np.asarray(
            cv2.copyMakeBorder(crop, 0, missing_rows, 0, missing_columns, cv2.BORDER_REFLECT_101), np.uint8
        )
    return crop
