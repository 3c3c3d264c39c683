"""The face counter: every face on a frame, by MediaPipe's full-range detector, apart from the mesh.

The mesh looks for the one face that is to be judged: its short-range detector misses small and turned faces, and more
of them the higher `min_face_confidence`. Of 180 pairs of portraits side by side the mesh took 42 for one face at 0.6
and 64 at 0.8, the full-range detector 13.
"""

from __future__ import annotations

import os

os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's native log would go to stderr otherwise

import cv2
import numpy as np
from mediapipe.python.solutions.face_detection import FaceDetection
from numpy.typing import NDArray

from detectors.contract import ModelVersion
from detectors.face_mesh.port import Box
from detectors.models import counter_file

#: Confidence of a counted face. Of 64 bona fide photographs of one person none has a second face at it.
MIN_CONFIDENCE = 0.5
_FULL_RANGE = 1


class FaceCounter:
    """Face counter of a slot process, apart from the mesh: not thread-safe, holds native memory until `close`."""

    def __init__(self) -> None:
        self.models: tuple[ModelVersion, ...] = (counter_file().model,)
        self._detector = FaceDetection(model_selection=_FULL_RANGE, min_detection_confidence=MIN_CONFIDENCE)

    def find(self, bgr: NDArray[np.uint8]) -> tuple[Box, ...]:
        """Boxes of every face on a uint8 (height, width, 3) BGR picture, pixels, inside it, in no order.

        Called by the analysis for a working frame, and for the pixels around a doubtful face of the mesh. Blocks about
        8 milliseconds; raises RuntimeError or ValueError for whatever native code raises. May be repeated.
        """
        height, width = bgr.shape[:2]
        found = self._detector.process(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).detections or ()
        relative = (detection.location_data.relative_bounding_box for detection in found)
        boxes = (
            Box(
                each.xmin * width,
                each.ymin * height,
                (each.xmin + each.width) * width,
                (each.ymin + each.height) * height,
            )
            for each in relative
        )
        return tuple(box.clipped(width, height) for box in boxes)

    def close(self) -> None:
        self._detector.close()
