"""The reuse search: enrol a submission's references, search for candidates, link them, read the cluster."""

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
from abuse.links.links import LINKS_ADDED, Link, LinkKind, best_per_pair, in_order
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.links.reuse_result import NO_REUSE, Comparison, ReuseResult
from abuse.pictures.media_index import EnrolledImage, ImageMatch, MatchKind, MediaIndex
from abuse.subjects import correlation
from abuse.submission_ref import SubmissionRef
from config.abuse import AbusePolicy

#: Bits that two perceptual hashes may differ in to be copies without further evidence. Measured hashes of unrelated
#: pictures differ as if 31 of the bits were independent: one pair in 60 million is so near.
SURE_BITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """The parts that compare faces. Templates of another `model` than this are ignored."""

    model: str
    index: FaceIndex
    keys: TemplateProtection
    bounds: FaceBounds

    def reference(self, tenant: str | None, own: SubmissionRef, face: ProtectedTemplate) -> EnrolledReference | None:
        """The reference to enrol; None for a template that can't be compared."""
        if face.model != self.model:
            return None
        try:
            # A worker without the newest key may have made the template; other workers search under the newest.
            face = self.keys.rotate(face, tenant, self.keys.in_force(own.at_ms))
            former = self.keys.under_all(face, tenant, own.at_ms)
        except (KeyError, ValueError):
            return None  # under a key that was removed, or out of range once rotated
        return EnrolledReference(tenant=tenant, template=face, former=former, **own.ref_fields)


@dataclass(slots=True, kw_only=True)
class ReuseSearch:
    """Called by the abuse stage for every decided submission. May be repeated: all writes are idempotent.

    Without `faces` (no calibrated model, or a server that can't store vectors) only pictures are searched. A submission
    without links takes two to four round trips.
    """

    pictures: MediaIndex
    links: LinkStore
    ledger: Ledger
    policy: AbusePolicy
    faces: Faces | None = None

    async def prepare(self) -> bool:
        """Whether faces are compared. Called at start-up; gives faces up where the server can't store vectors."""
        if self.faces is not None and not await self.faces.index.supported():
            self.faces = None
        return self.faces is not None

    async def find_candidates(self, tenant: str | None, own: SubmissionRef, found: ReuseReferences) -> ReuseResult:
        """The cluster around the correlation id of `own`, by links of this submission and of earlier ones. Raises
        `config.errors.Unavailable`."""
        if found == NO_REFERENCES:
            return NO_REUSE
        face = self.faces.reference(tenant, own, found.face) if self.faces and found.face else None
        image = EnrolledImage(tenant=tenant, hashes=found.picture, **own.ref_fields) if found.picture else None
        # Everything is enrolled before anything is searched: of two submissions at the same moment one finds the other.
        _, held = await asyncio.gather(self._enrol(face, image), self.links.of(tenant, [own.correlation_id]))
        faces, pictures = await asyncio.gather(self._search_face(face), self._search_picture(image))
        compared = Comparison(faces=faces.gallery, complete=faces.complete) if faces else None
        fresh = await self._best(tenant, self._by_face(own, faces), self._by_picture(own, pictures, faces))
        if not fresh and not held[own.correlation_id]:
            return ReuseResult(compared=compared)
        await self.links.write(tenant, fresh)
        cluster = await cluster_around(self.links, tenant, own.correlation_id, fresh)
        if compared and not compared.complete:
            cluster = replace(cluster, whole=False)
        others = [correlation(name) for name in cluster.ids if name != own.correlation_id]
        known = await self.ledger.read_history(tenant, others)
        return ReuseResult(cluster=cluster, histories=known.histories, compared=compared)

    async def _enrol(self, face: EnrolledReference | None, image: EnrolledImage | None) -> None:
        enrolling = [self.faces.index.enrol([face])] if self.faces and face else []
        enrolling += [self.pictures.enrol([image])] if image else []
        await asyncio.gather(*enrolling)

    async def _search_face(self, face: EnrolledReference | None) -> CandidateList | None:
        return await self.faces.index.search(face, self.faces.bounds.farthest) if self.faces and face else None

    async def _search_picture(self, image: EnrolledImage | None) -> Sequence[ImageMatch]:
        return await self.pictures.search(image, self.policy.media_replay.bits) if image else ()

    async def _best(self, tenant: str | None, *found: Sequence[Link]) -> list[Link]:
        """The best links of each kind of evidence, without those that a reviewer cleared."""
        names = sorted({name for links in found for each in links for name in each.ids})
        if not names:
            return []
        known = await self.ledger.read_history(tenant, list(map(correlation, names)))
        cleared_ms = {history.subject.key: history.unlinked_at_ms for history in known.histories}
        effective = [best_per_pair(each for each in links if each.effective_at(cleared_ms)) for links in found]
        return [each for links in effective for each in links[:LINKS_ADDED]]

    def _by_face(self, own: SubmissionRef, faces: CandidateList | None) -> list[Link]:
        if self.faces is None or faces is None:
            return []
        bound = self.faces.bounds.of(faces.gallery, self.policy.face_reuse.false_links)
        near = (each for each in faces.candidates if each.distance <= bound.distance)
        return [
            replace(
                _link(LinkKind.FACE, own, candidate, candidate.distance, bound.distance),
                gallery=faces.gallery,
                expected=bound.expected,
            )
            for candidate in near
        ]

    def _by_picture(
        self, own: SubmissionRef, pictures: Sequence[ImageMatch], faces: CandidateList | None
    ) -> list[Link]:
        """Links to copies of the picture. The same picture twice in one session is a retry, not a replay."""
        apart = {(each.correlation_id, each.submission_id): each.distance for each in faces.candidates} if faces else {}
        bits = self.policy.media_replay.bits
        return [
            _link(LinkKind(match.kind), own, match, match.hamming, bits)
            for match in pictures
            if (match.correlation_id, match.session_id) != (own.correlation_id, own.session_id)
            and self._sure(own, match, apart.get((match.correlation_id, match.submission_id)))
        ]

    def _sure(self, own: SubmissionRef, match: ImageMatch, apart: float | None) -> bool:
        """Whether a match is evidence of a copy. A hash of 64 bits is too short among many thousand pictures: the
        faces on two copies must be nearly the same too, unless the hashes are. An id's own pictures are few."""
        if match.kind is not MatchKind.NEAR_DUPLICATE or match.hamming <= SURE_BITS:
            return True
        if match.correlation_id == own.correlation_id:
            return True
        return apart is not None and self.faces is not None and apart <= self.faces.bounds.copies


def _link(kind: LinkKind, own: SubmissionRef, other: SubmissionRef, distance: float, threshold: float) -> Link:
    earlier, later = in_order(own, SubmissionRef(**other.ref_fields))
    return Link(kind=kind, earlier=earlier, later=later, distance=distance, threshold=threshold)
