"""Expressions of a sitter: landmarks at rest moved to a smile or closed eyes."""

from __future__ import annotations

import numpy as np

from tests.sequences.surface import Floats

#: Landmarks of the upper lids from the outer to the inner corner, of the lower lids under them, and of the lids' folds
#: over them: the right eye, then the left (MediaPipe's numbering).
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
_FOLDS = (247, 30, 29, 27, 28, 56, 190, 467, 260, 259, 257, 258, 286, 414)
#: Corner of the mouth, middle of the cheek, and the way outwards in the picture: the right side, then the left.
_SIDES = ((61, 205, -1.0), (291, 425, 1.0))


def blinked(seen: Floats, amount: float) -> Floats:
    """Points (n, 3) with the eyes closed by 0 to 1: the lids meet a little above the lower one."""
    moved = seen.copy()
    opening = seen[list(LOWER_LIDS)] - seen[list(UPPER_LIDS)]
    moved[list(UPPER_LIDS)] += 0.88 * amount * opening
    moved[list(LOWER_LIDS)] -= 0.08 * amount * opening
    moved[list(_FOLDS)] += 0.35 * amount * opening
    return moved


def lidded(texels: Floats, amount: float) -> Floats:
    """Places on the texture (n, 2) for eyes closed by 0 to 1: skin of the lids, without lashes, drawn over the eyes."""
    moved = texels.copy()
    opening = texels[list(LOWER_LIDS)] - texels[list(UPPER_LIDS)]
    moved[list(UPPER_LIDS)] -= 0.35 * amount * opening
    moved[list(LOWER_LIDS)] += 0.25 * amount * opening
    return moved


def smiled(seen: Floats, amount: float, face_width: float) -> Floats:
    """Points (n, 3) with the mouth's corners drawn outwards and up, cheeks raised, lower lids lifted, by 0 to 1."""
    moved = seen.copy()
    for corner, cheek, outwards in _SIDES:
        for landmark, reach, way in (
            (corner, 0.13, (0.065 * outwards, -0.045, 0.03)),
            (cheek, 0.20, (0.010 * outwards, -0.030, -0.02)),
        ):
            away = np.linalg.norm(seen[:, :2] - seen[landmark, :2], axis=1) / (reach * face_width)
            moved += np.exp(-0.5 * away**2)[:, None] * (amount * face_width * np.array(way, np.float32))
    lids = list(LOWER_LIDS)
    moved[lids] -= 0.12 * amount * (seen[lids] - seen[list(UPPER_LIDS)])
    return np.asarray(moved, np.float32)
