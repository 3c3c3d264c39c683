"""Frames that another session showed first: a recorded check that is played again. Pure."""

from __future__ import annotations

from abuse.pictures.frame_index import Capture, ShownBefore
from stream.events.message.messages import Detection

#: Share of a capture's frames whose perceptual hash another capture showed first, from which the capture is a replay.
#: Measured on sequences rendered from nine photographs: compressed anew at the same size 40 to 90 % of the frames keep
#: all 64 bits, scaled down 20 to 100 %; of another sequence from the very same photograph 0 to 33 % have a known hash,
#: once 75 %.
LEAST_ALIKE = 0.5


def capture_of(detection: Detection) -> Capture | None:
    """Capture of an active check, for the frame index; None without hashes of its frames."""
    ids, terms = detection.ids, detection.session
    if terms is None or not terms.active or not detection.frame_hashes or ids.correlation_id is None:
        return None
    key_id = detection.frame_hashes[0].key_id
    return Capture(
        tenant=ids.tenant,
        correlation_id=ids.correlation_id,
        session_id=terms.session_id,
        submission_id=ids.submission_id,
        hashes=tuple(each for each in detection.frame_hashes if each.key_id == key_id),
        others=tuple(each for each in detection.frame_hashes if each.key_id != key_id),
    )


def replayed(shown: ShownBefore, capture: Capture) -> bool:
    """Whether frames shown before make the capture a replay: one with the same pixels, or half of the frames alike."""
    alike = len({each.perceptual for each in capture.hashes})
    return shown.pixels > 0 or shown.perceptual >= LEAST_ALIKE * alike
