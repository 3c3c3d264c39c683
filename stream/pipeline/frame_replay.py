"""Frames that another session showed first: a recorded check that is played again. Pure."""

from __future__ import annotations

from abuse.pictures.frame_index import Capture, ShownBefore
from stream.events.messages import Detection

#: Frames with a known perceptual hash by which a capture is a replay: a single one may have all 64 bits by chance.
FEWEST_ALIKE = 3


def capture_of(detection: Detection) -> Capture | None:
    """Capture of an active check, for the frame index; None without hashes of its frames."""
    ids, terms = detection.ids, detection.session
    if terms is None or not terms.active or not detection.frame_hashes or ids.correlation_id is None:
        return None
    return Capture(
        tenant=ids.tenant,
        correlation_id=ids.correlation_id,
        session_id=terms.session_id,
        submission_id=ids.submission_id,
        hashes=detection.frame_hashes,
    )


def replayed(shown: ShownBefore) -> bool:
    """Whether frames shown before make the capture a replay: one with the same pixels, or several alike."""
    return shown.pixels > 0 or shown.perceptual >= FEWEST_ALIKE
