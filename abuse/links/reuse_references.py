"""What a submission may be known again by: a print of its face, codes of its picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from abuse.faces.protected_template import ProtectedTemplate
from abuse.pictures.media_keys import KeyedImageHashes
from config.abuse import FACE_REUSE, MEDIA_REPLAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseReferences:
    """What a submission may be known again by; nothing where it has none, or where nobody is to look.

    `picture`: its codes under the key in force, then under the others in use (`MediaKeys.codes`).
    """

    face: ProtectedTemplate | None = None
    picture: tuple[KeyedImageHashes, ...] = ()

    def among(self, active: Collection[str]) -> ReuseReferences:
        """Those that one of these rules looks at."""
        return ReuseReferences(
            face=self.face if FACE_REUSE in active else None,
            picture=self.picture if MEDIA_REPLAY in active else (),
        )


NO_REFERENCES = ReuseReferences()
