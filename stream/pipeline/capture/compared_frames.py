"""Comparison of a submission's frames, by digests of pixels and distances of faces: tells repeated frames, changed
faces and the right pictures, and nothing to anybody who has not got the frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from detectors.contract import Analysis
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Submission
from stream.events.wire.detection_part import content_digest
from stream.pipeline.capture.marking import model_id

#: In place of a key's id, for templates that are compared at once and kept nowhere.
_UNKEYED = "plain"
#: How the templates of each model are compared, by the model's id; euclidean unless named.
Kinds = Mapping[str, Distance]


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


def between(templates: Sequence[ProtectedTemplate | None], kinds: Kinds) -> tuple[float | None, ...]:
    """Distance of each template to the first there is; None for one that is missing or not comparable with it.
    Protection keeps distances, within one tenant and key."""
    probe = next((each for each in templates if each is not None), None)
    return tuple(None if probe is None or each is None else _distance(probe, each, kinds) for each in templates)


def of_analyses(analyses: Sequence[Analysis], kinds: Kinds) -> tuple[float | None, ...]:
    """Distances between the plain templates of frames that were sent in one event; empty for one frame."""
    return between([_template(each) for each in analyses], kinds) if len(analyses) > 1 else ()


def _template(analysis: Analysis) -> ProtectedTemplate | None:
    if (seen := analysis.template) is not None:
        with suppress(ValueError):  # of a template that can't be compared, for example all zeros
            return ProtectedTemplate(model_id(seen.model, seen.model_sha256), _UNKEYED, seen.vector)
    return None


def _distance(probe: ProtectedTemplate, other: ProtectedTemplate, kinds: Kinds) -> float | None:
    if (probe.model, probe.key_id, probe.dimensions) != (other.model, other.key_id, other.dimensions):
        return None
    return distances(probe, [other], kinds.get(probe.model, Distance.EUCLIDEAN))[0]
