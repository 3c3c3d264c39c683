"""Digests and distances of a submission's frames: what tells repeated frames, changed faces and the right pictures, and
nothing to anybody who has not got the frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from detectors.contract import Analysis
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Submission
from stream.events.wire.detection_part import content_digest
from stream.pipeline.capture.frame_faces import Kinds, of_analyses


@dataclass(frozen=True, slots=True)
class ComparedFrames:
    """Comparison of a submission's frames, as a detection carries it."""

    face_distances: tuple[float | None, ...] = ()
    pixels: tuple[str | None, ...] = ()


NOT_COMPARED = ComparedFrames()


def compared_frames(ids: SubmissionIds, analyses: Sequence[Analysis], kinds: Kinds) -> ComparedFrames:
    """Comparison of analysed frames, before their plain templates and hashes are dropped."""
    pixels = tuple(None if each.picture is None else _bound(ids, each.picture.pixels_sha256) for each in analyses)
    return ComparedFrames(of_analyses(analyses, kinds), pixels)


def content_of(submission: Submission) -> str:
    """Digest of the pictures' files, as a detector group names them. Takes 0.7 ms a MB beyond the first frame."""
    others = tuple(hashlib.sha256(frame.image).hexdigest() for frame in submission.frames[1:])
    return content_digest(submission.ids, (submission.image_sha256, *others))


def _bound(ids: SubmissionIds, pixels_sha256: str) -> str:
    """128 bits over a frame's pixels, bound to the submission: not to be compared with another submission's."""
    named = [ids.tenant, ids.submission_id, ids.correlation_id, ids.session_id, ids.resource_id, pixels_sha256]
    return hashlib.sha256(orjson.dumps(["pixels", *named])).hexdigest()[:32]
