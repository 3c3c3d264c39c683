"""Reuse references: the protected template and keyed image hashes of a submission, made in the detect stage.

The plain template and hashes go no further than here. References that no active rule needs are not made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.template_protection import TemplateProtection
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.pictures.media_keys import KeyedImageHashes, MediaKeys
from config.abuse import FACE_REUSE, MEDIA_REPLAY
from detectors.contract import Analysis, PictureHashes, Template
from stream.events.messages import Submission

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
        face = analysis.template if FACE_REUSE in active else None
        picture = analysis.picture if MEDIA_REPLAY in active else None
        return ReuseReferences(
            face=None if face is None else self._protected(self.keys.faces, submission, face),
            picture=() if picture is None else self._hashes(self.keys.pictures, submission, picture),
        )

    @staticmethod
    def _hashes(keys: MediaKeys, submission: Submission, picture: PictureHashes) -> tuple[KeyedImageHashes, ...]:
        bytes_sha256 = hashlib.sha256(submission.frames[0].image).hexdigest()
        tenant, at_ms = submission.ids.tenant, submission.appended_at_ms
        return keys.hashes(tenant, bytes_sha256, picture.pixels_sha256, picture.perceptual, at_ms)

    @staticmethod
    def _protected(keys: TemplateProtection, submission: Submission, face: Template) -> ProtectedTemplate | None:
        """Protected template; no template that can't be compared, for example all zeros."""
        try:
            model = model_id(face.model, face.model_sha256)
            return keys.transform(submission.ids.tenant, model, face.vector, submission.appended_at_ms)
        except ValueError:
            return None


def model_id(name: str, sha256: str) -> str:
    """Model id: protected templates are compared only within the very same model."""
    return f"{name[:MODEL_NAME_LENGTH]}-{sha256[:MODEL_HASH_LENGTH]}"
