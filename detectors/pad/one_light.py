"""Frames of one capture in one light: what the screen's colour adds to the face is taken out before networks look.

Networks were trained under white light and follow a colour: of rendered faces the log-odds of `minifasnet_v2` spread by
2.0 around those at rest under red and magenta, and lie 1.4 below under green (docs/DETECTION.md has the figures).
Each channel is scaled so that the front of the face has the chromaticity that it had at rest (J. von Kries,
"Chromatic adaptation", 1902).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from detectors.contract_measures import FRONT, FrameMeasures
from detectors.signals import FaceObservation

#: A picture's tones are about this root of linear light.
_GAMMA = 2.2
#: Most that a channel is scaled by, either way: the first frame is the client's choice, and whatever its colour, the
#: others stay the pictures they are. A screen in a lit room changes a channel by up to 0.14 (50 rendered captures).
_MOST = 1.25
#: Linear light below which a camera's noise is all there is: grey level 5 of 255.
_DARKEST = 0.0015


def in_light_of(seen: FaceObservation, measures: FrameMeasures, rest: FrameMeasures) -> FaceObservation:
    """Observation of a frame with `measures`, its face in the chromaticity that it had in a frame at `rest`; as it is
    where one of them doesn't see the face's front. Called by the analysis before networks; pure."""
    now, before = measures.light_of(FRONT), rest.light_of(FRONT)
    if now is None or before is None:
        return seen
    change = np.log(np.maximum(before, _DARKEST)) - np.log(np.maximum(now, _DARKEST))
    gains = np.clip(np.exp((change - change.mean()) / _GAMMA), 1 / _MOST, _MOST)
    levels = np.arange(256)[:, None] * gains[::-1]
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[:, None, :]
    frame = replace(seen.frame, bgr=np.asarray(cv2.LUT(seen.frame.bgr, np.ascontiguousarray(table)), np.uint8))
    return replace(seen, frame=frame)
