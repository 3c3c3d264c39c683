"""Faces and pictures for tests, as a slot describes them."""

from __future__ import annotations

import numpy as np

from detectors.contract import PictureHashes, Template


def face(person: int, view: float = 0.0) -> Template:
    """Template of a person: two views are as far apart as their numbers differ, strangers about 0.9."""
    vector = np.random.default_rng(person).normal(size=128).astype("<f4") * 0.056
    vector[0] += view
    return Template(model="net", model_sha256="cd" * 32, vector=vector.astype("<f4").tobytes())


def picture(number: int, flipped: int = 0) -> PictureHashes:
    bits = int.from_bytes(np.random.default_rng(number).bytes(8), "little")
    return PictureHashes(pixels_sha256=f"{number:064x}", perceptual=bits ^ ((1 << flipped) - 1))
