"""The same face or the same picture in other submissions: looked for, linked, and followed to the whole cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import CandidateList, EnrolledReference, FaceIndex
from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.template_protection import TemplateProtection
from abuse.ledger.ledger import Ledger
from abuse.links.link_store import LinkStore, cluster_around
from abuse.links.links import LINKS_ADDED, Link, LinkKind, foremost, in_order
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.links.reuse_result import NO_REUSE, Comparison, ReuseResult
from abuse.pictures.media_index import MediaIndex, PictureHit, PictureMatch, PictureSighting
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.subjects import correlation
from abuse.submission_ref import SubmissionRef
from config.abuse import AbusePolicy

#: Bits that two perceptual hashes may differ in to be copies without further evidence. Measured hashes of strange
#: pictures differ as if 31 of the bits were independent: one pair in 60 million is so near.
SURE_BITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """`model` is the one whose prints are compared; anything else on the topic is nobody's of ours."""

    model: str
    index: FaceIndex
    keys: TemplateProtection
    bounds: FaceBounds


@dataclass(slots=True, kw_only=True)
class Reuse:
    """Without `faces` (no calibrated model, or a server that can't) only pictures are looked for.

    Where nothing is linked it takes two to four round trips: what was seen is kept, then others are looked for.
    """

    pictures: MediaIndex
    book: LinkStore
    ledger: Ledger
    policy: AbusePolicy
    faces: Faces | None = None

    async def prepare(self) -> bool:
        """Whether faces can be kept; they are given up where the server can't."""
        if self.faces is not None and not await self.faces.index.supported():
            self.faces = None
        return self.faces is not None

    async def find_candidates(self, tenant: str | None, own: SubmissionRef, marks: ReuseReferences) -> ReuseResult:
        """Everybody linked to the correlation id of `own`, by this submission or by one before."""
        if marks == NO_REFERENCES:
            return NO_REUSE
        face, picture = self._face(tenant, own, marks.face), _picture(tenant, own, marks.picture)
        # All is kept before anything is looked for: of two that come at the same moment one finds the other.
        _, _, held = await asyncio.gather(
            self._learn_face(face), self._learn_picture(picture), self.book.of(tenant, [own.correlation_id])
        )
        met, pictures = await asyncio.gather(self._met(face), self._pictures(picture))
        compared = Comparison(faces=met.gallery, complete=met.complete) if met else None
        fresh = await self._chosen(tenant, self._by_face(own, met), self._by_picture(own, pictures, met))
        if not fresh and not held[own.correlation_id]:
            return ReuseResult(compared=compared)
        await self.book.write(tenant, fresh)
        cluster = await cluster_around(self.book, tenant, own.correlation_id, fresh)
        if compared and not compared.complete:
            cluster = replace(cluster, whole=False)
        others = [correlation(name) for name in cluster.ids if name != own.correlation_id]
        known = await self.ledger.read_history(tenant, others)
        return ReuseResult(cluster=cluster, histories=known.histories, compared=compared)

    async def _chosen(self, tenant: str | None, *found: Sequence[Link]) -> list[Link]:
        """Of each of these the foremost that no reviewer has cleared."""
        names = sorted({name for links in found for each in links for name in each.ids})
        if not names:
            return []
        known = await self.ledger.read_history(tenant, list(map(correlation, names)))
        cleared_ms = {history.subject.key: history.unlinked_at_ms for history in known.histories}
        standing = [foremost(each for each in links if each.effective_at(cleared_ms)) for links in found]
        return [each for links in standing for each in links[:LINKS_ADDED]]

    def _face(self, tenant: str | None, own: SubmissionRef, face: ProtectedTemplate | None) -> EnrolledReference | None:
        """None where the face can't be compared."""
        if face is None or self.faces is None or face.model != self.faces.model:
            return None
        keys = self.faces.keys
        try:
            # A worker without the newest key made it: under that key everybody looks for it.
            face = keys.rotate(face, tenant, keys.in_force(own.at_ms))
            former = keys.under_all(face, tenant, own.at_ms)
        except (KeyError, ValueError):
            return None  # under a key that is held no longer, or no print that a template could have become
        return EnrolledReference(tenant=tenant, print=face, former=former, **own.told)

    async def _learn_face(self, face: EnrolledReference | None) -> None:
        if self.faces is not None and face is not None:
            await self.faces.index.enrol([face])

    async def _learn_picture(self, picture: PictureSighting | None) -> None:
        if picture is not None:
            await self.pictures.enrol([picture])

    async def _met(self, face: EnrolledReference | None) -> CandidateList | None:
        if self.faces is None or face is None:
            return None
        return await self.faces.index.search(face, self.faces.bounds.farthest)

    async def _pictures(self, picture: PictureSighting | None) -> Sequence[PictureHit]:
        return () if picture is None else await self.pictures.search(picture, self.policy.media_replay.bits)

    def _by_face(self, own: SubmissionRef, met: CandidateList | None) -> list[Link]:
        if self.faces is None or met is None:
            return []
        bound = self.faces.bounds.of(met.gallery, self.policy.face_reuse.false_links)
        return [
            _link(
                LinkKind.FACE,
                own,
                hit,
                distance=hit.distance,
                threshold=bound.distance,
                gallery=met.gallery,
                expected=bound.expected,
            )
            for hit in met.hits
            if hit.distance <= bound.distance
        ]

    def _by_picture(self, own: SubmissionRef, hits: Sequence[PictureHit], met: CandidateList | None) -> list[Link]:
        """Who sends a picture twice in one session tries again; anybody else replays it."""
        faces = {(hit.correlation_id, hit.submission_id): hit.distance for hit in met.hits} if met else {}
        return [
            _link(LinkKind(hit.kind), own, hit, distance=hit.hamming, threshold=self.policy.media_replay.bits)
            for hit in hits
            if (hit.correlation_id, hit.session_id) != (own.correlation_id, own.session_id)
            and self._sure(own, hit, faces.get((hit.correlation_id, hit.submission_id)))
        ]

    def _sure(self, own: SubmissionRef, hit: PictureHit, apart: float | None) -> bool:
        """A hash of 64 bits is too short to be trusted among many thousand pictures: the faces on two copies must be
        nearly the same as well, unless the hashes are. Of its own pictures a correlation id has few."""
        if hit.kind is not PictureMatch.NEAR_DUPLICATE or hit.hamming <= SURE_BITS:
            return True
        if hit.correlation_id == own.correlation_id:
            return True
        return apart is not None and self.faces is not None and apart <= self.faces.bounds.copies


def _picture(tenant: str | None, own: SubmissionRef, codes: tuple[KeyedImageHashes, ...]) -> PictureSighting | None:
    return PictureSighting(tenant=tenant, codes=codes, **own.told) if codes else None


def _link(
    kind: LinkKind,
    one: SubmissionRef,
    other: SubmissionRef,
    *,
    distance: float,
    threshold: float,
    gallery: int = 0,
    expected: float = 0.0,
) -> Link:
    earlier, later = in_order(one, SubmissionRef(**other.told))
    return Link(
        kind=kind,
        earlier=earlier,
        later=later,
        distance=distance,
        threshold=threshold,
        gallery=gallery,
        expected=expected,
    )
