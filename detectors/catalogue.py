"""The eight signals by name and label, in the order every decision lists them. Imports no native code."""

from __future__ import annotations

SIGNAL_LABELS: dict[str, str] = {
    "sharpness": "Image sharpness",
    "eye_aspect_ratio": "Eye openness",
    "head_pose": "Head pose",
    "face_area_ratio": "Face framing",
    "facial_symmetry": "Facial symmetry",
    "lbp_texture": "Skin micro-texture",
    "exif_metadata": "Camera metadata",
    "fft_deepfake": "Frequency fingerprint",
}
