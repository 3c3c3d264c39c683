"""Best frame: by claims of rest, image requirements and quality; never one without a face."""

from __future__ import annotations

import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.message.session_terms import FrameContext
from stream.pipeline.capture.best_frame import best_first
from tests.unit.stream.builders import analysis

GOOD = {"sharpness": 0.9, "head_pose": 1.0, "facial_symmetry": 0.9, "eye_aspect_ratio": 0.9}
FINE = analysis(GOOD)
NO_FACE = analysis({}, error=ErrorCode.NO_FACE_DETECTED, message="no face", face_detected=False)
NEUTRAL, SMILE = FrameContext(), FrameContext(challenge="smile")


def weak(**changes):
    return analysis({**GOOD, **changes})


ORDERS = {
    "alone": ([FINE], (), [0]),
    "the earliest of equals": ([FINE, FINE], (), [0, 1]),
    "sharper": ([weak(sharpness=0.5), FINE], (), [1, 0]),
    "more frontal": ([weak(facial_symmetry=0.3), FINE], (), [1, 0]),
    "eyes open": ([weak(eye_aspect_ratio=0.0), FINE], (), [1, 0]),
    "a signal that failed": ([weak(head_pose=None), FINE], (), [1, 0]),
    "exposure": ([analysis(1.0, notes=("too_bright",)), FINE], (), [1, 0]),
    "a note of no account": ([analysis(1.0, notes=("trailing_data",)), FINE], (), [0, 1]),
    "at rest": ([analysis(1.0), FINE], (SMILE, NEUTRAL), [1, 0]),
    "no face": ([NO_FACE, FINE, NO_FACE], (), [1]),
    "none": ([NO_FACE], (), []),
}


@pytest.mark.parametrize(("analyses", "contexts", "order"), ORDERS.values(), ids=ORDERS)
def test_order(analyses, contexts, order):
    assert best_first(analyses, contexts) == order
