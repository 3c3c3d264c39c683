"""Framing of picture generators: a square in which eyes and mouth lie where the training pictures have them.

StyleGAN and its kin are trained on FFHQ, whose every picture is turned, scaled and moved until the eyes' distance is a
quarter of the side, the eyes are level and their middle lies a little above the picture's (Karras et al., CVPR 2019;
`align_face` of the data set). What they make keeps the places to a hundredth of the side, which tells such portraits
from photographs (Yang et al., Exposing GAN-synthesized faces using landmark locations, IH&MMSec 2019). Hands that hold
a camera do not. Generators that are trained on other pictures, and portraits cut anew, are not found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Indication

#: Landmarks of the mesh: corners of the eye that is left in the picture, of the right one, and of the mouth.
_PARTS = ((33, 133), (362, 263), (61, 291))
#: Places of the middle of each part in the picture, shares of its side: medians of 86 StyleGAN portraits, which differ
#: from these by 0.012 (19 of 20) and 0.026 at most for the eyes; no photograph of 60 comes nearer than 0.06.
_PLACES = np.array([[0.379, 0.477], [0.621, 0.477], [0.5, 0.727]])
#: Distances up to which a part is in its place; a mouth opens and smiles.
_TOLERANCE = np.array([[0.02], [0.02], [0.05]])
#: Difference of the sides up to which a picture is a square.
_SQUARE = 0.01


def generator_framing(landmarks: NDArray[np.float32], width: int, height: int) -> Iterator[Indication]:
    """Indication of a face that lies in its picture as generators place it; `landmarks` (n, 2 or 3) are pixels of a
    frame of this width and height."""
    if abs(width / height - 1.0) > _SQUARE:
        return
    found = np.array([landmarks[list(corners), :2].mean(axis=0) for corners in _PARTS]) / (width, height)
    if (np.abs(found - _PLACES) <= _TOLERANCE).all():
        eyes, _, mouth = _TOLERANCE[:, 0]
        near = f"eyes to {eyes:.0%} of the picture's side, the mouth to {mouth:.0%}"
        detail = f"The face lies where picture generators place one: {near}."
        yield Indication(code="generator_framing", detail=detail)
