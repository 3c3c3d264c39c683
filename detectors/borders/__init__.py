"""Straight borders around a face: `lines` finds straight lines beside, above and below the face, `quadrilateral` looks
for four (or three, where the picture cuts one off) that are the border of a print or a display held before the camera.
"""

from detectors.borders.quadrilateral import Border, find_border

__all__ = ["Border", "find_border"]
