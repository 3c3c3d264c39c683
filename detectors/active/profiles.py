"""Profiles of a frame: how grey runs across and down small squares on the face and around, for a shift to be measured.

The mean over the rows of a square, and over its columns, tells by how many hundredths of a pixel the square has moved,
as two projections do in an optical mouse or a video coder (K. Sauer and B. Schwartz, "Efficient block motion estimation
using integral projections", IEEE Trans. CSVT 6(5), 1996). A mean of 40 pixels has a sixth of one pixel's noise, and
two of them are no picture: what differs along both axes is gone, and so are the levels of grey.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.contract_measures import FACE_SAMPLES, PLACES, PROFILE, PROFILE_PLACES, PROFILE_SIDE
from detectors.face_mesh import Face
from detectors.frame import WorkingFrame

#: Landmarks in the middle of a square: eyes, nose, mouth, brows, cheeks, jaw, chin, and the outline.
_ON_FACE = (33, 133, 263, 362, 4, 6, 10, 54, 284, 117, 346, 205, 425, 136, 365, 2, 152, 234, 454, 168)
#: Middles of further squares in widths of the face from its own: beside the head, and above.
_BESIDE = ((x, y) for x in (-1.15, -0.85, 0.85, 1.15) for y in (-0.5, 0.0, 0.5))
_AROUND = (*_BESIDE, (-0.5, -0.95), (0.0, -1.0), (0.5, -0.95))
_EARS = (234, 454)
#: Narrower faces have fewer pixels than a square has samples.
_NARROWEST = 40
#: Grey levels by which a profile must differ from its mean; below is noise: 2 of a pixel are a third of the mean of 40.
_LEAST = 1.5
_TAPER = np.hanning(PROFILE_SIDE + 2)[1:-1] / np.hanning(PROFILE_SIDE + 2).sum()


def profiles_of(frame: WorkingFrame, face: Face) -> bytes:
    """Profiles of all places (`PROFILE`), packed. Called by `measuring.measure`; 1.5 ms."""
    found = np.zeros(PROFILE_PLACES, PROFILE)
    ears = face.landmarks[list(_EARS), :2].astype(np.float64)
    width = max(float(np.linalg.norm(ears[1] - ears[0])), _NARROWEST)
    around = ears.mean(axis=0) + width * np.array(_AROUND)
    middles = np.rint(np.vstack([face.landmarks[list(_ON_FACE), :2], around]))
    for place, middle in enumerate(middles):
        square = _square(frame, middle, width / FACE_SAMPLES)
        if square is not None:
            found["x"][place], found["y"][place] = np.rint(middle * (PLACES / max(frame.width, frame.height)))
            found["across"][place], found["down"][place] = _scaled(_TAPER @ square), _scaled(square @ _TAPER)
    return found.tobytes()


def _square(frame: WorkingFrame, middle: NDArray[np.float64], pixels: float) -> NDArray[np.float64] | None:
    """Grey of a square, so many pixels a sample; None where the frame doesn't hold the whole."""
    first, reach = middle - pixels * (PROFILE_SIDE - 1) / 2, pixels * PROFILE_SIDE / 2 + 1
    if (middle < reach).any() or (middle + reach > (frame.width - 1, frame.height - 1)).any():
        return None
    place = np.array([[pixels, 0, first[0]], [0, pixels, first[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(frame.grey, place, (PROFILE_SIDE, PROFILE_SIDE), flags=flags), np.float64)


def _scaled(course: NDArray[np.float64]) -> NDArray[np.float64]:
    """A course less its mean, -127 to 127 at its largest; all 0 if there is next to nothing."""
    course = course - course.mean()
    most = float(np.abs(course).max())
    return np.rint(course * (127 / most)) if most > _LEAST else np.zeros(PROFILE_SIDE)
