"""The same face under several correlation ids: what is asked, what is found, and where a face is kept.

The port, and the fake that ships with it. A face is kept in a place: one tenant, key, model and stretch of event time.
A pair is found by whichever of the two is met later, and a face that is met again finds all that are there by then,
so it makes no difference in which order, how late or how often faces come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeVar
from zlib import crc32

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from abuse.submission_ref import SubmissionRef
from config.policy import Policy
from config.settings import Settings

#: A place that holds more is slow to search and, when it expires, to remove.
MOST_FACES_A_PLACE = 25_000
#: Hits told of at most, the nearest.
MOST_HITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledReference(SubmissionRef):
    """A protected template to enrol and to search for. `former`: the same template under the other keys in use
    (`TemplateProtection.under_all`), searched for and not enrolled."""

    tenant: str | None
    print: ProtectedTemplate
    former: tuple[ProtectedTemplate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(SubmissionRef):
    """A near face of another correlation id; `distance` is exact, but for half a number's precision."""

    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """`hits`: nearest first, one a submission. `gallery`: other faces in the places searched. `complete`: False when
    time ran out before the oldest were searched."""

    hits: tuple[Candidate, ...]
    gallery: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePlan:
    """How faces are kept and searched; all but `distances` and `window_ms` may differ between workers and change.

    `window_ms`: how far back, and for late submissions forward, faces are searched, in event time.
    `span_ms`: a place's stretch of time; divides a day. Searching twice the places takes nearly twice the time however
    full they are, so few faces an hour are better kept in longer stretches.
    `parts`: places a stretch is split into, so that each holds at most `MOST_FACES_A_PLACE`.
    `deadline_s`: no search begins later; `batch` places go out together, `lanes` batches at once.
    `distances`: model -> how it is compared; euclidean unless named.
    """

    window_ms: int = 7 * DAY_MS
    span_ms: int = HOUR_MS
    parts: int = 1
    deadline_s: float = 0.5
    batch: int = 24
    lanes: int = 4
    distances: Mapping[str, Distance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.span_ms < 1 or DAY_MS % self.span_ms:
            raise ValueError("span_ms divides a day")
        if min(self.window_ms, self.parts, self.batch, self.lanes) < 1 or self.deadline_s < 0:
            raise ValueError("a window, parts, batches and lanes are one or more")

    def distance(self, model: str) -> Distance:
        return self.distances.get(model, Distance.EUCLIDEAN)

    def kept_until_ms(self, end_ms: int) -> int:
        """When what ends then may go: out of the window for whatever comes up to a day late."""
        return end_ms + self.window_ms + DAY_MS

    def days(self, at_ms: int) -> range:
        """The days that places within reach of this time begin in."""
        return range((at_ms - self.window_ms) // DAY_MS, (at_ms + self.window_ms) // DAY_MS + 1)

    def place(self, sighting: EnrolledReference) -> IndexBucket:
        return IndexBucket(
            tenant=sighting.tenant,
            model=sighting.print.model,
            key_id=sighting.print.key_id,
            dimensions=sighting.print.dimensions,
            begin_ms=sighting.at_ms // self.span_ms * self.span_ms,
            span_ms=self.span_ms,
            part=crc32(sighting.submission_id.encode()) % self.parts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBucket:
    """Where faces are kept that are searched together; its name says everything but the tenant.

    The length of vectors is part of it: one of another length under the same model's name harms no others.
    """

    tenant: str | None
    model: str
    key_id: str
    dimensions: int
    begin_ms: int
    span_ms: int
    part: int

    @property
    def name(self) -> str:
        return f"{self.model}|{self.key_id}|{self.dimensions}|{self.begin_ms}|{self.span_ms}|{self.part}"

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
def place_named(tenant: str | None, name: str) -> IndexBucket:
    """The inverse of `name`; raises ValueError."""
    model, key_id, dimensions, begin_ms, span_ms, part = name.split("|")
    return IndexBucket(
        tenant=tenant,
        model=model,
        key_id=key_id,
        dimensions=int(dimensions),
        begin_ms=int(begin_ms),
        span_ms=int(span_ms),
        part=int(part),
    )


class FaceIndex(Protocol):
    """Calls raise `config.errors.Unavailable` when the index is away."""

    async def supported(self) -> bool:
        """Whether the server can keep faces; one cheap call."""

    async def enrol(self, sightings: Sequence[EnrolledReference]) -> None:
        """Add faces. Of two that are learned before they are searched for one finds the other, unless time runs out."""

    async def search(self, sighting: EnrolledReference, within: float) -> CandidateList:
        """The faces within that distance of this one, which is added already, of other correlation ids."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """How many faces of a correlation id there are, one a submission whatever keys it is under."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove every face of a correlation id; how many there were, counted as `held` does."""

    async def tenants(self) -> list[str | None]:
        """Everyone faces are or were lately kept for."""

    def prints(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        """Every face kept at the time, each with its place. What is added meanwhile may be left out."""

    async def copy(self, old: IndexBucket, sighting: EnrolledReference) -> bool:
        """Keep a face of the old bucket under its new template too; both count in `CandidateList.gallery`, and are
        one candidate.
        May be repeated. A face forgotten meanwhile stays forgotten; one that came again soon after its correlation id
        was forgotten is left as it is, False, and can be copied some minutes later."""

    async def drop(self, old: IndexBucket, sighting: EnrolledReference) -> None:
        """Remove a face that was copied from its old place. May be repeated. Not before every search has ended that
        began before the copy: it may not have seen the new place, and must find the face in the old one."""


Item = TypeVar("Item")


def nearest(
    sighting: EnrolledReference, found: Sequence[EnrolledReference], within: float, plan: FacePlan
) -> tuple[Candidate, ...]:
    """The hits among faces that may be near, with their exact distances."""
    best: dict[tuple[str, str], Candidate] = {}
    for probe in (sighting.print, *sighting.former):
        mine = [other for other in found if other.print.key_id == probe.key_id]
        far = distances(probe, [other.print for other in mine], plan.distance(probe.model))
        for other, distance in zip(mine, far, strict=True):
            if distance <= within and abs(other.at_ms - sighting.at_ms) <= plan.window_ms:
                hit = Candidate(distance=distance, **other.told)
                name = (hit.correlation_id, hit.submission_id)
                best[name] = min(best.get(name, hit), hit, key=_order)
    return tuple(sorted(best.values(), key=_order)[:MOST_HITS])


def is_own(sighting: EnrolledReference, correlation_id: str) -> bool:
    """Not by the submission id: others may use the same one, to go unseen."""
    return correlation_id == sighting.correlation_id


def _order(hit: Candidate) -> tuple[float, int, str, str]:
    return (hit.distance, hit.at_ms, hit.correlation_id, hit.submission_id)


class InMemoryFaceIndex:
    """The fake: compares with everything. Keeps what it is given for as long as it lives."""

    def __init__(self, plan: FacePlan | None = None, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.plan = plan or FacePlan()
        self.places: dict[IndexBucket, dict[tuple[str, str], EnrolledReference]] = {}
        self._on_call = on_call

    async def supported(self) -> bool:
        self._on_call("supported")
        return True

    async def search(self, sighting: EnrolledReference, within: float) -> CandidateList:
        self._on_call("search")
        reach = (sighting.at_ms - self.plan.window_ms, sighting.at_ms + self.plan.window_ms)
        probes = (sighting.print, *sighting.former)
        kept = [
            each
            for place, faces in self.places.items()
            if place.tenant == sighting.tenant and place.within(*reach) and any(place.holds(each) for each in probes)
            for each in faces.values()
        ]
        found = [each for each in kept if not is_own(sighting, each.correlation_id)]
        hits = nearest(sighting, found, within, self.plan)
        return CandidateList(hits=hits, gallery=len(kept) - 1, complete=True)

    async def enrol(self, sightings: Sequence[EnrolledReference]) -> None:
        self._on_call("learn")
        for sighting in sightings:
            self._add(sighting)

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("held")
        return len(
            {
                name
                for place, faces in self.places.items()
                if place.tenant == tenant
                for name in faces
                if name[0] == correlation_id
            }
        )

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        self._on_call("forget")
        removed = set()
        for place, faces in self.places.items():
            for name in [name for name in faces if name[0] == correlation_id and place.tenant == tenant]:
                del faces[name]
                removed.add(name)
        return len(removed)

    async def tenants(self) -> list[str | None]:
        self._on_call("tenants")
        return sorted({place.tenant for place in self.places}, key=lambda tenant: tenant or "")

    async def prints(self, tenant: str | None, now_ms: int) -> AsyncIterator[tuple[IndexBucket, EnrolledReference]]:
        self._on_call("prints")
        for place, faces in list(self.places.items()):
            if place.tenant == tenant:
                for sighting in list(faces.values()):
                    yield place, sighting

    async def copy(self, old: IndexBucket, sighting: EnrolledReference) -> bool:
        self._on_call("copy")
        if (sighting.correlation_id, sighting.submission_id) in self.places.get(old, {}):
            self._add(sighting)
        return True

    async def drop(self, old: IndexBucket, sighting: EnrolledReference) -> None:
        self._on_call("drop")
        if self.plan.place(sighting) != old:
            self.places.get(old, {}).pop((sighting.correlation_id, sighting.submission_id), None)

    def _add(self, sighting: EnrolledReference) -> None:
        faces = self.places.setdefault(self.plan.place(sighting), {})
        faces[sighting.correlation_id, sighting.submission_id] = sighting


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def face_plan(settings: Settings, policy: Policy, distances: Mapping[str, Distance]) -> FacePlan:
    """A stretch of several hours is split as its busiest would fill it."""
    limits = settings.abuse
    return FacePlan(
        window_ms=policy.abuse.face_reuse.window_s * 1000,
        span_ms=limits.face_span_h * HOUR_MS,
        parts=-(-limits.faces_an_hour * limits.face_span_h // MOST_FACES_A_PLACE),
        deadline_s=limits.face_search_s,
        distances=distances,
    )
