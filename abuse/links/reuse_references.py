"""Reuse references: the protected template and the keyed image hashes of one submission."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from abuse.faces.protected_template import ProtectedTemplate
from abuse.pictures.media_keys import KeyedImageHashes
from config.limits.abuse import FACE_REUSE, MEDIA_REPLAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseReferences:
    """References of a submission; empty where it has none or no rule looks at them.

    `picture`: hashes under the key in force, then under the other keys in use (`MediaKeys.hashes`).
    """

    face: ProtectedTemplate | None = None
    picture: tuple[KeyedImageHashes, ...] = ()

    def among(self, active: Collection[str]) -> ReuseReferences:
        """The references that one of these rules looks at."""
        return ReuseReferences(
            face=self.face if FACE_REUSE in active else None, picture=self.picture if MEDIA_REPLAY in active else ()
        )


NO_REFERENCES = ReuseReferences()
