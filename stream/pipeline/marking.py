"""Marks: what a submission may be known again by, made where its template is seen for the last time.

From here on a face is known only by a print under the tenant's key, and a picture by codes under it. What no active
rule looks at is not made.
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

#: Of a model's name, and of its hash, to tell its versions apart.
MODEL_NAME_LENGTH, MODEL_HASH_LENGTH = 48, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkKeys:
    """The secrets, once for faces and once for pictures."""

    faces: TemplateProtection
    pictures: MediaKeys


@dataclass(frozen=True, slots=True)
class ReferenceExtractor:
    """Without a secret there are no marks at all."""

    keys: MarkKeys | None

    def marks(self, submission: Submission, analysis: Analysis, active: frozenset[str]) -> ReuseReferences:
        """Marks of a submission's first frame, whose analysis this is."""
        if self.keys is None:
            return NO_REFERENCES
        face = analysis.template if FACE_REUSE in active else None
        picture = analysis.picture if MEDIA_REPLAY in active else None
        return ReuseReferences(
            face=None if face is None else self._print(self.keys.faces, submission, face),
            picture=() if picture is None else self._codes(self.keys.pictures, submission, picture),
        )

    @staticmethod
    def _codes(keys: MediaKeys, submission: Submission, picture: PictureHashes) -> tuple[KeyedImageHashes, ...]:
        bytes_sha256 = hashlib.sha256(submission.frames[0].image).hexdigest()
        tenant, at_ms = submission.ids.tenant, submission.appended_at_ms
        return keys.hashes(tenant, bytes_sha256, picture.pixels_sha256, picture.perceptual, at_ms)

    @staticmethod
    def _print(keys: TemplateProtection, submission: Submission, face: Template) -> ProtectedTemplate | None:
        """None for a template that nothing can be compared with: all zeros, say."""
        try:
            model = model_id(face.model, face.model_sha256)
            return keys.transform(submission.ids.tenant, model, face.vector, submission.appended_at_ms)
        except ValueError:
            return None


def model_id(name: str, sha256: str) -> str:
    """Prints compare only with those of the very same model."""
    return f"{name[:MODEL_NAME_LENGTH]}-{sha256[:MODEL_HASH_LENGTH]}"
