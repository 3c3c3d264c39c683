"""The reuse search: enrol a submission's references, search for candidates, link them, read the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from abuse.faces.face_bounds import Bound, FaceBounds
from abuse.faces.face_index import MOST_CANDIDATES, CandidateList, EnrolledReference, FaceIndex
from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.template_protection import TemplateProtection
from abuse.flags.flags import FlagKind
from abuse.ledger.ledger import Ledger
from abuse.links.histories_read import HistoriesRead
from abuse.links.joining import ClusterJoin, Near
from abuse.links.large_clusters import HINTS_READ, LARGE_SIZE, LargeClusters, founded
from abuse.links.link_store import LinkStore, cluster_around
from abuse.links.links import LINKING, LINKS_ADDED, Cluster, Link, LinkKind, best_per_pair, cluster_of, in_order
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.links.reuse_result import NO_REUSE, Comparison, ReuseResult
from abuse.pictures.media_index import EnrolledImage, ImageMatch, MatchKind, MediaIndex
from abuse.submission_ref import SubmissionRef
from config.limits.abuse import AbusePolicy

#: Bits that two perceptual hashes may differ in to be copies without further evidence. Measured hashes of unrelated
#: pictures differ as if 31 of the bits were independent: one pair in 60 million is so near.
SURE_BITS = 2
#: Candidates by which a small cluster is seen whole, with room for near ones that are no members.
SMALL_READ = LARGE_SIZE + 4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Searched:
    """The links to the nearest candidates, the kinds that have candidates at all, and whether there were `more`."""

    near: Near
    kinds: frozenset[FlagKind]
    more: bool
    compared: Comparison | None


@dataclass(slots=True, kw_only=True)
class ReuseSearch:
    """Called by the abuse stage for every decided submission. May be repeated: all writes are idempotent.

    Without `faces` (no calibrated model, or a server that can't store vectors) only pictures are searched. Round trips,
    on a single server: one without candidates; with candidates two more; four altogether to join the large cluster that
    was joined last, and to join a small one whose members are all candidates (docs/ABUSE.md). On a cluster one more.
    """

    pictures: MediaIndex
    links: LinkStore
    large: LargeClusters
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
        first = HINTS_READ if self.large.leads_met(tenant) else SMALL_READ
        held, faces, pictures = await asyncio.gather(
            self.links.of(tenant, [own.correlation_id]),
            self._search_face(face, first, enrol=True),
            self._search_picture(image, first, enrol=True),
        )
        searched, earlier = self._searched(own, faces, pictures, first), held[own.correlation_id]
        # Of a submission that comes again the flag events may not be published yet: the members' flags are read too.
        again = any(own.key in (each.earlier.key, each.later.key) for each in earlier)
        # The nearest candidates tell whether there is a large cluster to join; then the others make no difference.
        histories = HistoriesRead(ledger=self.ledger, tenant=tenant, cause=own.submission_id)
        join = ClusterJoin(large=self.large, histories=histories).join
        joined = await join(tenant, own, searched.near)
        if searched.more and (again or not searched.kinds <= joined.clusters.keys()):
            faces, pictures = await asyncio.gather(
                self._search_face(face, MOST_CANDIDATES), self._search_picture(image, MOST_CANDIDATES)
            )
            searched = self._searched(own, faces, pictures, MOST_CANDIDATES)
            joined = await join(tenant, own, searched.near)
        if not earlier and not any(searched.near.values()):
            return ReuseResult(compared=searched.compared)
        near = {kind: links for kind, links in joined.near.items() if again or kind not in joined.clusters}
        cluster = await self._read(tenant, own, near, earlier, histories)
        await self._make_large(tenant, own, near.keys() - joined.clusters.keys(), cluster, histories)
        if searched.compared and not searched.compared.complete:
            cluster = replace(cluster, whole=False)
        return ReuseResult(
            cluster=cluster,
            large=joined.clusters,
            histories=histories.besides(own.correlation_id),
            compared=searched.compared,
        )

    def _searched(
        self, own: SubmissionRef, faces: CandidateList | None, pictures: Sequence[ImageMatch], most: int
    ) -> _Searched:
        """Links to the candidates by face and by picture, of which `most` each were asked for."""
        kinds = {FlagKind.FACE_REUSE: faces and faces.candidates, FlagKind.MEDIA_REPLAY: pictures}
        return _Searched(
            near={
                FlagKind.FACE_REUSE: self._by_face(own, faces),
                FlagKind.MEDIA_REPLAY: self._by_picture(own, pictures, faces),
            },
            kinds=frozenset(kind for kind, found in kinds.items() if found),
            more=bool(faces and faces.more) or len(pictures) == most,
            compared=Comparison(faces=faces.gallery, complete=faces.complete) if faces else None,
        )

    async def _read(
        self,
        tenant: str | None,
        own: SubmissionRef,
        near: Near,
        earlier: Sequence[Link],
        histories: HistoriesRead,
    ) -> Cluster:
        """The links written, and the cluster around them, whose members' histories are known then."""
        fresh = _best(histories, near.values())
        kinds = frozenset().union(*(LINKING[kind] for kind in near))
        if fresh:
            known = await self.links.write(tenant, fresh)
            cluster = await cluster_around(self.links, tenant, own.correlation_id, fresh, known=known, of_kinds=kinds)
        else:
            cluster = cluster_of(own.correlation_id, [each for each in earlier[-LINKS_ADDED:] if each.kind in kinds])
        await histories.read(cluster.ids)
        return cluster

    async def _make_large(
        self,
        tenant: str | None,
        own: SubmissionRef,
        kinds: Collection[FlagKind],
        cluster: Cluster,
        histories: HistoriesRead,
    ) -> None:
        """Clusters of these kinds that have become large, made so."""
        effective = cluster.without(histories.unlinked_ms, own.correlation_id)
        face, media = self.policy.face_reuse, self.policy.media_replay
        limits = {
            FlagKind.FACE_REUSE: (face.allowed_ids + 1, face.window_s),
            FlagKind.MEDIA_REPLAY: (media.uses, media.window_s),
        }
        made = [
            founded(effective, own, kind, limit=limits[kind][0], window_s=limits[kind][1]) for kind in sorted(kinds)
        ]
        await asyncio.gather(*(self.large.create(tenant, each) for each in made if each is not None))

    async def _search_face(
        self, face: EnrolledReference | None, most: int, *, enrol: bool = False
    ) -> CandidateList | None:
        if self.faces is None or face is None:
            return None
        bounds = self.faces.bounds
        return await self.faces.index.search(
            face, bounds.farthest, most, enrol=enrol, narrowed=lambda gallery: self._bound(bounds, gallery).distance
        )

    def _bound(self, bounds: FaceBounds, gallery: int) -> Bound:
        return bounds.of(gallery, self.policy.face_reuse.false_links)

    async def _search_picture(
        self, image: EnrolledImage | None, most: int, *, enrol: bool = False
    ) -> Sequence[ImageMatch]:
        return await self.pictures.search(image, self.policy.media_replay.bits, most, enrol=enrol) if image else ()

    def _by_face(self, own: SubmissionRef, faces: CandidateList | None) -> list[Link]:
        if self.faces is None or faces is None or not faces.candidates:
            return []
        bound = self._bound(self.faces.bounds, faces.gallery)
        near = (each for each in faces.candidates if each.distance <= bound.distance)
        return [
            _link(LinkKind.FACE, own, each, each.distance, bound.distance, faces.gallery, bound.expected)
            for each in near
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


def _best(histories: HistoriesRead, found: Iterable[Sequence[Link]]) -> list[Link]:
    """The best links of each kind of evidence, without those that a reviewer cleared."""
    cleared_ms = histories.unlinked_ms
    effective = [best_per_pair(each for each in links if each.effective_at(cleared_ms)) for links in found]
    return [each for links in effective for each in links[:LINKS_ADDED]]


def _link(
    kind: LinkKind,
    own: SubmissionRef,
    other: SubmissionRef,
    distance: float,
    threshold: float,
    gallery: int = 0,
    expected: float = 0.0,
) -> Link:
    earlier, later = in_order(own, SubmissionRef(**other.ref_fields))
    return Link(
        kind=kind,
        earlier=earlier,
        later=later,
        distance=distance,
        threshold=threshold,
        gallery=gallery,
        expected=expected,
    )
