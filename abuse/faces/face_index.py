"""The face index: the port, what goes in and comes out, and an index in memory.

A reference is enrolled in an index bucket: one tenant, key, model and stretch of event time. The later search of two
submissions finds the earlier enrolment, and a repeated search finds all that is enrolled by then; so the order, delay
and repetition of submissions make no difference to the pairs found.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeAlias, TypeVar

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from abuse.submission_ref import SubmissionRef
from config.policy import Policy
from config.settings import Settings

#: Links of a face to others in a bucket's graph; a bucket keeps the number that it began with. Buckets without a number
#: in their name have `FEW_LINKS`.
LINKS, FEW_LINKS = 24, 16
#: Length of a candidate list: far more than links that a submission may add, and a bound on the cost of a face that is
#: shown again and again.
MOST_CANDIDATES = 64
#: Redis searches a bucket of so many in 0.2 ms of processor time (measured): a mirror would spare little.
MIRRORED_FROM = 2000
MIB = 1024 * 1024
#: The largest distance that counts in a gallery of so many faces; of a larger gallery no larger.
Threshold: TypeAlias = Callable[[int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledReference(SubmissionRef):
    """A protected template to enrol, and to search for as a probe.

    `former`: the same template under the other keys in use (`TemplateProtection.under_all`), searched for only.
    """

    tenant: str | None
    template: ProtectedTemplate
    former: tuple[ProtectedTemplate, ...] = ()

    @property
    def name(self) -> tuple[str, str]:
        """Correlation id and submission id: what a bucket holds at most once."""
        return (self.correlation_id, self.submission_id)

    @property
    def probes(self) -> tuple[ProtectedTemplate, ...]:
        return (self.template, *self.former)

    def is_own(self, correlation_id: str) -> bool:
        """Whether to leave a face out. The submission id doesn't count: others may use the same one to hide."""
        return correlation_id == self.correlation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(SubmissionRef):
    """A near face of another correlation id; `distance` is exact for templates in half precision."""

    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """The result of a search. `candidates`: nearest first, one per submission; `more` were near than were asked for.
    `gallery`: other faces in the buckets searched. `complete`: False when the deadline came before the oldest buckets
    were searched."""

    candidates: tuple[Candidate, ...]
    gallery: int
    complete: bool
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePlan:
    """How faces are enrolled and searched; all but `distances` and `window_ms` may differ between workers and change.

    `window_ms`: how far back, and for late submissions forward, faces are searched, in event time.
    `span_ms`: a bucket's stretch of time; divides a day. Searching twice the buckets takes nearly twice the time
    however full they are.
    `most_faces`: faces of a bucket at which the next part of its stretch of time begins: a fuller one is slow to search
    and, when it expires, to remove.
    `deadline_s`: no batch of a search begins later. `batch`: buckets per round trip; `concurrency`: batches at once.
    `distances`: model -> how templates are compared; euclidean unless named.
    `mirrored_from`: faces of a bucket from which a worker keeps a mirror; `mirror_bytes`: room for all mirrors.
    """

    window_ms: int = 7 * DAY_MS
    span_ms: int = DAY_MS
    most_faces: int = 50_000
    deadline_s: float = 0.5
    batch: int = 24
    concurrency: int = 4
    distances: Mapping[str, Distance] = field(default_factory=dict)
    mirrored_from: int = MIRRORED_FROM
    mirror_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        if self.span_ms < 1 or DAY_MS % self.span_ms:
            raise ValueError("span_ms divides a day")
        if min(self.window_ms, self.most_faces, self.batch, self.concurrency) < 1 or self.deadline_s < 0:
            raise ValueError("window_ms, most_faces, batch and concurrency are one or more, deadline_s isn't negative")

    def distance(self, model: str) -> Distance:
        return self.distances.get(model, Distance.EUCLIDEAN)

    def reach(self, at_ms: int) -> tuple[int, int]:
        """First and last event time of the faces a submission of this time is compared with."""
        return at_ms - self.window_ms, at_ms + self.window_ms

    def kept_until_ms(self, end_ms: int) -> int:
        """Expiry of a bucket that ends then: the window, and a day for submissions that come late."""
        return end_ms + self.window_ms + DAY_MS

    def days(self, at_ms: int) -> range:
        """Days since the epoch in which the buckets within reach begin."""
        return range((at_ms - self.window_ms) // DAY_MS, (at_ms + self.window_ms) // DAY_MS + 1)

    def bucket(self, reference: EnrolledReference, part: int = 0) -> IndexBucket:
        return IndexBucket(
            tenant=reference.tenant,
            model=reference.template.model,
            key_id=reference.template.key_id,
            dimensions=reference.template.dimensions,
            begin_ms=reference.at_ms // self.span_ms * self.span_ms,
            span_ms=self.span_ms,
            part=part,
            links=LINKS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBucket:
    """Faces that are searched together; the name says everything but the tenant. `part` counts the buckets of a stretch
    of time, each begun when the one before was full.

    The number of dimensions is part of the name: a template of wrong length under a model's name harms no other.
    """

    tenant: str | None
    model: str
    key_id: str
    dimensions: int
    begin_ms: int
    span_ms: int
    part: int
    links: int = FEW_LINKS

    @property
    def name(self) -> str:
        numbers = [self.dimensions, self.begin_ms, self.span_ms, self.part]
        if self.links != FEW_LINKS:
            numbers.append(self.links)
        return "|".join(map(str, [self.model, self.key_id, *numbers]))

    @property
    def end_ms(self) -> int:
        return self.begin_ms + self.span_ms

    @property
    def day(self) -> int:
        return self.begin_ms // DAY_MS

    def holds(self, other: ProtectedTemplate) -> bool:
        return (self.model, self.key_id, self.dimensions) == (other.model, other.key_id, other.dimensions)

    def within(self, from_ms: int, until_ms: int) -> bool:
        return self.begin_ms <= until_ms and from_ms < self.end_ms


@lru_cache(maxsize=65_536)
def bucket_named(tenant: str | None, name: str) -> IndexBucket:
    """The bucket of a tenant by its `name`; raises ValueError for a malformed name."""
    model, key_id, *numbers = name.split("|")
    dimensions, begin_ms, span_ms, part, links = map(int, numbers if len(numbers) > 4 else [*numbers, str(FEW_LINKS)])
    return IndexBucket(
        tenant=tenant,
        model=model,
        key_id=key_id,
        dimensions=dimensions,
        begin_ms=begin_ms,
        span_ms=span_ms,
        part=part,
        links=links,
    )


class FaceIndex(Protocol):
    """The port. Calls raise `config.errors.Unavailable` when the index is away, and may be repeated then."""

    async def supported(self) -> bool:
        """Whether the server can store vectors; one cheap call at start-up."""

    async def enrol(self, references: Sequence[EnrolledReference]) -> None:
        """Add references; called by the reuse search before `search`, so that of two submissions at the same moment at
        least one finds the other, unless time runs out. May be repeated."""

    async def search(
        self,
        reference: EnrolledReference,
        within: float,
        most: int = MOST_CANDIDATES,
        *,
        enrol: bool = False,
        narrowed: Threshold | None = None,
    ) -> CandidateList:
        """Up to `most` candidates of other correlation ids up to that distance, and up to the one that `narrowed` gives
        for the gallery. The reference has been enrolled, or is with `enrol`, before anything is searched: on a single
        server in the same round trip."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """Number of a correlation id's submissions with a face, whatever keys they are under; for an erasure."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every face of a correlation id; return the number as `held` counts. Called by an erasure. May be
        repeated."""

    async def tenants(self) -> list[str | None]:
        """Tenants that have or lately had faces; for re-keying."""

    def references(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        """Every reference at this time with its bucket, for re-keying. References enrolled meanwhile may be missing."""

    async def copy(self, old: IndexBucket, reference: EnrolledReference) -> bool:
        """Enrol a reference of the old bucket under its new template too; called by re-keying. May be repeated.

        Both then count in `CandidateList.gallery` and are one candidate. A face forgotten meanwhile stays forgotten.
        Returns False, having done nothing, for a face that was enrolled again soon after its correlation id was
        forgotten: it can be copied some minutes later.
        """

    async def drop(self, old: IndexBucket, reference: EnrolledReference) -> None:
        """Remove a copied reference from its old bucket. May be repeated.

        Called when every search has ended that began before the copy: such a search may not see the new bucket, and
        must find the face in the old one.
        """


def threshold(within: float, narrowed: Threshold | None) -> Threshold:
    """Up to that distance, and up to the narrowed one."""
    return lambda gallery: within if narrowed is None else min(within, narrowed(gallery))


Item = TypeVar("Item")


def nearest(
    reference: EnrolledReference, found: Sequence[EnrolledReference], within: float, plan: FacePlan
) -> tuple[Candidate, ...]:
    """Candidates among the references found, with exact distances, one per submission, nearest first."""
    best: dict[tuple[str, str], Candidate] = {}
    for probe in reference.probes:
        comparable = [other for other in found if other.template.key_id == probe.key_id]
        apart = distances(probe, [other.template for other in comparable], plan.distance(probe.model))
        for other, distance in zip(comparable, apart, strict=True):
            if distance <= within and abs(other.at_ms - reference.at_ms) <= plan.window_ms:
                candidate = Candidate(distance=distance, **other.ref_fields)
                best[other.name] = min(best.get(other.name, candidate), candidate, key=_order)
    return tuple(sorted(best.values(), key=_order))


def _order(candidate: Candidate) -> tuple[float, int, str, str]:
    return (candidate.distance, candidate.at_ms, candidate.correlation_id, candidate.submission_id)


class InMemoryFaceIndex:
    """The fake: compares with every face and expires none."""

    def __init__(self, plan: FacePlan | None = None, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.plan = plan or FacePlan()
        self.buckets: dict[IndexBucket, dict[tuple[str, str], EnrolledReference]] = {}
        self._on_call = on_call

    async def supported(self) -> bool:
        self._on_call("supported")
        return True

    async def search(
        self,
        reference: EnrolledReference,
        within: float,
        most: int = MOST_CANDIDATES,
        *,
        enrol: bool = False,
        narrowed: Threshold | None = None,
    ) -> CandidateList:
        if enrol:
            await self.enrol([reference])
        self._on_call("search")
        reach = self.plan.reach(reference.at_ms)
        gallery = [
            each
            for bucket, faces in self._of(reference.tenant)
            if bucket.within(*reach) and any(map(bucket.holds, reference.probes))
            for each in faces.values()
        ]
        others = [each for each in gallery if not reference.is_own(each.correlation_id)]
        found = nearest(reference, others, threshold(within, narrowed)(len(gallery) - 1), self.plan)
        return CandidateList(candidates=found[:most], gallery=len(gallery) - 1, complete=True, more=len(found) > most)

    async def enrol(self, references: Sequence[EnrolledReference]) -> None:
        self._on_call("enrol")
        for reference in references:
            self._add(reference)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return len({name for _, faces in self._of(tenant) for name in faces if name[0] == correlation_id})

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        removed = set()
        for _, faces in self._of(tenant):
            for name in [name for name in faces if name[0] == correlation_id]:
                del faces[name]
                removed.add(name)
        return len(removed)

    async def tenants(self) -> list[str | None]:
        self._on_call("tenants")
        return sorted({bucket.tenant for bucket in self.buckets}, key=lambda tenant: tenant or "")

    async def references(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        self._on_call("references")
        for bucket, faces in self._of(tenant):
            for reference in list(faces.values()):
                yield bucket, reference

    async def copy(self, old: IndexBucket, reference: EnrolledReference) -> bool:
        self._on_call("copy")
        if reference.name in self.buckets.get(old, {}):
            self._add(reference)
        return True

    async def drop(self, old: IndexBucket, reference: EnrolledReference) -> None:
        self._on_call("drop")
        if not old.holds(reference.template):
            self.buckets.get(old, {}).pop(reference.name, None)

    def _of(self, tenant: str | None) -> list[tuple[IndexBucket, dict[tuple[str, str], EnrolledReference]]]:
        return [(bucket, faces) for bucket, faces in self.buckets.items() if bucket.tenant == tenant]

    def _add(self, reference: EnrolledReference) -> None:
        self.buckets.setdefault(self.plan.bucket(reference), {})[reference.name] = reference


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def face_plan(settings: Settings, policy: Policy, distances: Mapping[str, Distance]) -> FacePlan:
    """The plan of an installation."""
    limits = settings.abuse
    return FacePlan(
        window_ms=policy.abuse.face_reuse.window_s * 1000,
        span_ms=limits.face_span_h * HOUR_MS,
        deadline_s=limits.face_search_s,
        distances=distances,
        mirror_bytes=limits.face_mirror_mib * MIB,
    )
