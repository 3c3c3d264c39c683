"""The mesh by MediaPipe's Tasks API from a `face_landmarker.task` bundle: landmarks, matrix."""

from __future__ import annotations

import os

os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's native log would go to stderr otherwise

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions, RunningMode
from numpy.typing import NDArray

from detectors.contract import ModelVersion
from detectors.face_mesh.port import MAX_FACES, Face, box_of, largest_first, to_pixels
from detectors.models import face_landmarker_model


class TasksMesh:
    """FaceLandmarker on single pictures; the bytes that are loaded are the bytes that were hashed."""

    def __init__(self, bundle: Path, *, min_face_confidence: float) -> None:
        model = bundle.read_bytes()
        self.models: tuple[ModelVersion, ...] = (face_landmarker_model(model),)
        self._landmarker = FaceLandmarker.create_from_options(
            FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=model),
                running_mode=RunningMode.IMAGE,
                num_faces=MAX_FACES,
                min_face_detection_confidence=min_face_confidence,
                output_facial_transformation_matrixes=True,
            )
        )

    def find(self, bgr: NDArray[np.uint8]) -> tuple[Face, ...]:
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        result = self._landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb))
        height, width = bgr.shape[:2]
        found = zip(result.face_landmarks, result.facial_transformation_matrixes, strict=True)
        return largest_first([_face(points, matrix, width, height) for points, matrix in found])

    def close(self) -> None:
        self._landmarker.close()


def _face(points: Iterable[Any], matrix: Any, width: int, height: int) -> Face:
    normalised = np.array([(p.x, p.y, p.z) for p in points], np.float32)
    landmarks = to_pixels(normalised, width, height)
    return Face(landmarks=landmarks, box=box_of(landmarks), transform=np.asarray(matrix, np.float64))
