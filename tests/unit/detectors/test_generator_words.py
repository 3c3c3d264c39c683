"""Words about a face in the place of generators' faces say how near each part lies."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.injection.generator_framing import generator_framing
from tests.unit.detectors.test_generator_framing import MOUTH, landmarks

SIDE = 960


@pytest.mark.parametrize(("lower", "told"), [(0.04, True), (0.06, False)])
def test_mouth_may_lie_farther_off_than_eyes(lower: float, told: bool) -> None:
    found = landmarks(SIDE)
    found[list(MOUTH)] += np.float32([0, lower * SIDE, 0])
    words = [each.detail for each in generator_framing(found, SIDE, SIDE)]
    near = "eyes to 2% of the picture's side, the mouth to 5%"
    assert words == [f"The face lies where picture generators place one: {near}."] * told
