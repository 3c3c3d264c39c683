"""Reuse references: the protected template and keyed image hashes of a submission, made in the detect stage.

The plain template and hashes go no further than here. References that no active rule needs are not made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from abuse.faces.template_protection import TemplateProtection
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.pictures.media_keys import KeyedImageHashes, MediaKeys
from config.limits.abuse import FACE_REUSE, MEDIA_REPLAY
from detectors.contract import Analysis
from stream.events.message.messages import Submission

#: Characters of a model's name and of its hash; the latter tells versions apart.
MODEL_NAME_LENGTH, MODEL_HASH_LENGTH = 48, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkKeys:
    """Hash keys, as used for faces and for pictures."""

    faces: TemplateProtection
    pictures: MediaKeys


@dataclass(frozen=True, slots=True)
class ReferenceExtractor:
    """Extractor of reuse references; without hash keys no references are made."""

    keys: MarkKeys | None

    def references(self, submission: Submission, analysis: Analysis, active: frozenset[str]) -> ReuseReferences:
        """Reuse references of a submission's first frame from its analysis; `active` names the active rules."""
        if self.keys is None:
            return NO_REFERENCES
        tenant, at_ms = submission.ids.tenant, submission.appended_at_ms
        face, picture = None, tuple[KeyedImageHashes, ...]()
        if FACE_REUSE in active and (seen := analysis.template) is not None:
            with suppress(ValueError):  # of a template that can't be compared, for example all zeros
                face = self.keys.faces.transform(tenant, model_id(seen.model, seen.model_sha256), seen.vector, at_ms)
        if MEDIA_REPLAY in active and (shot := analysis.picture) is not None:
            digest = submission.image_sha256
            picture = self.keys.pictures.hashes(tenant, digest, shot.pixels_sha256, shot.perceptual, at_ms)
        return ReuseReferences(face=face, picture=picture)

    def frame_hashes(self, submission: Submission, analyses: Sequence[Analysis]) -> tuple[KeyedImageHashes, ...]:
        """Hashes of the frames of an active check, each under the key in force and then under the others in use, so
        that a frame from before a change of keys is found; none without hash keys. Frames that could not be analysed
        have none."""
        keys = self.keys
        if keys is None:
            return ()
        shown = zip(submission.frames, analyses, strict=True)
        return tuple(
            hashes
            for frame, each in shown
            if each.picture is not None
            for hashes in keys.pictures.hashes(
                submission.ids.tenant,
                hashlib.sha256(frame.image).hexdigest(),
                each.picture.pixels_sha256,
                each.picture.perceptual,
                submission.appended_at_ms,
            )
        )


def model_id(name: str, sha256: str) -> str:
    """Model id: protected templates are compared only within the very same model."""
    return f"{name[:MODEL_NAME_LENGTH]}-{sha256[:MODEL_HASH_LENGTH]}"
