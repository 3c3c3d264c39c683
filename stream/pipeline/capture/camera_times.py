"""Camera's time in a picture's metadata against the time a submission was received. Pure."""

from __future__ import annotations

from dataclasses import replace

from detectors.contract import Analysis
from detectors.injection.capture_times import capture_times
from stream.events.message.messages import Submission


def with_capture_times(analysis: Analysis, submission: Submission) -> Analysis:
    """Analysis of a frame of the submission, with the indications of the camera's time in place of the time; for the
    detect stage."""
    if not analysis.taken_at:
        return analysis
    received_ms, captured_at = submission.appended_at_ms, submission.context.captured_at
    found = tuple(capture_times(analysis.taken_at, received_ms=received_ms, captured_at=captured_at))
    return replace(analysis, indications=analysis.indications + found, taken_at="")
