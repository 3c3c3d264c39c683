"""Photographs of faces that the machine has for tests; never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from stream.demo import attacks

NO_PHOTOGRAPHS = "no photographs for tests: LIVENESS_TEST_IMAGES names their folder"
ROOT_OF_SHARED = Path(__file__).resolve().parents[1] / "../shared"
BESIDE_THE_REPOSITORY = ROOT_OF_SHARED / "images"


def folder() -> Path:
    return Path(os.environ.get("LIVENESS_TEST_IMAGES") or BESIDE_THE_REPOSITORY)


def photograph(name: str) -> attacks.Photo:
    """(height, width, 3) uint8 BGR; skips the test where there is none."""
    file = folder() / f"{name}.jpg"
    if not file.is_file():
        pytest.skip(NO_PHOTOGRAPHS)
    return np.asarray(attacks.decode(file.read_bytes()))
