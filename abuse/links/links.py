"""Links between two submissions that show the same face or the same picture, and the clusters that links form.

A link is stored as a line with both correlation ids, so that every member of a cluster leads to all others. The line
holds the whole link, and a pair of submissions has one line (`link_store`), the first written: writing twice, late, or
from the other submission changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter, itemgetter

import orjson

from abuse.event_time import DAY_MS, MS
from abuse.flags.flags import NEVER_CLEARED, FlagKind
from abuse.submission_ref import RefKey, SubmissionRef, submission_ref_from
from config.policy import Policy

#: Links stored per correlation id, the newest; and links that one submission may add of a kind, the best. Far more
#: than a person needs, and a bound on the cost of an attacker with thousands of ids and one face.
LINKS_KEPT = 64
LINKS_ADDED = 16
#: Kind and both submissions.
LinkName = tuple[str, RefKey, RefKey]
#: Correlation ids of one cluster that are read, and the number of links to the farthest.
MOST_MEMBERS = 64
MOST_STEPS = 4
#: Looks at all links of a cluster, a step further each, before links are sorted by their ends: most clusters are within
#: two links of who joins.
LOOKS = 2


class LinkKind(StrEnum):
    """Kinds of links, best evidence first."""

    SAME_BYTES = "same_bytes"
    SAME_PIXELS = "same_pixels"
    NEAR_DUPLICATE = "near_duplicate"
    FACE = "face"


#: Sort keys of links.
strength, _order = attrgetter("strength"), attrgetter("order")
_RANK = {kind: rank for rank, kind in enumerate(LinkKind)}
MEDIA = frozenset({LinkKind.SAME_BYTES, LinkKind.SAME_PIXELS, LinkKind.NEAR_DUPLICATE})
#: Kind of flag -> the links it is about.
LINKING = {FlagKind.FACE_REUSE: frozenset({LinkKind.FACE}), FlagKind.MEDIA_REPLAY: MEDIA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two submissions, and how sure the link is.

    `distance`: between the templates, or the bits that differ between two perceptual hashes. `threshold`: its bound.
    `gallery`: the number of faces compared. `expected`: how many of them would be that near by chance.
    """

    kind: LinkKind
    earlier: SubmissionRef
    later: SubmissionRef
    distance: float = 0.0
    threshold: float = 0.0
    gallery: int = 0
    expected: float = 0.0
    #: The identity of the link: kind and both submissions. Kept, as what follows: clusters ask each link many times.
    name: LinkName = field(init=False, repr=False, compare=False)
    refs: tuple[SubmissionRef, SubmissionRef] = field(init=False, repr=False, compare=False)
    #: The two correlation ids; the same one twice for a picture used again in another session.
    ids: tuple[str, str] = field(init=False, repr=False, compare=False)
    #: A sort key, smallest for the best evidence.
    strength: tuple[int, float, LinkName] = field(init=False, repr=False, compare=False)
    #: A sort key: by the later submission, then the earlier, then the kind.
    order: tuple[int | str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        earlier, later, kind = self.earlier, self.later, self.kind
        name = (str(kind), earlier.key, later.key)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "refs", (earlier, later))
        object.__setattr__(self, "ids", (earlier.correlation_id, later.correlation_id))
        object.__setattr__(self, "strength", (_RANK[kind], self.distance, name))
        object.__setattr__(self, "order", (*later.key, *earlier.key, str(kind)))

    def effective_at(self, cleared_ms: Mapping[str, int]) -> bool:
        """Whether both submissions came in after a reviewer cleared their correlation id, if one did."""
        return all(ref.at_ms > cleared_ms.get(ref.correlation_id, NEVER_CLEARED) for ref in self.refs)


def in_order(one: SubmissionRef, other: SubmissionRef) -> tuple[SubmissionRef, SubmissionRef]:
    """The earlier and the later of two submissions."""
    return (one, other) if one.key < other.key else (other, one)


def best_per_pair(links: Iterable[Link]) -> list[Link]:
    """The best link of each pair of correlation ids and sessions. First the best of each pair of ids, then further
    sessions: an id with many sessions leaves room for other ids."""
    met: dict[tuple[str, str], set[tuple[str | None, str | None]]] = {}
    ranked: list[tuple[int, Link]] = []
    for each in sorted(links, key=strength):
        one, other = each.refs
        if other.correlation_id < one.correlation_id:
            one, other = other, one
        sessions = met.setdefault((one.correlation_id, other.correlation_id), set())
        if (one.session_id, other.session_id) not in sessions:
            ranked.append((len(sessions), each))
            sessions.add((one.session_id, other.session_id))
    return [each for _, each in sorted(ranked, key=itemgetter(0))]


def line_of(link: Link) -> str:
    """The stored form of a link, JSON; distances are rounded, so that a rebuild from decisions gives the same line."""
    refs = [list(ref.ref_fields.values()) for ref in link.refs]
    figures = [round(link.distance, 4), round(link.threshold, 4), link.gallery, float(f"{link.expected:.3g}")]
    return orjson.dumps([link.kind, *refs, *figures]).decode()


@lru_cache(maxsize=8192)
def link_from(line: str) -> Link:
    """The link of a line; raises ValueError, TypeError or KeyError for a foreign line. Cached: the lines of a cluster
    are read again with each submission that joins."""
    kind, earlier, later, distance, threshold, gallery, expected = orjson.loads(line)
    return Link(
        kind=LinkKind(kind),
        earlier=submission_ref_from(*earlier),
        later=submission_ref_from(*later),
        distance=distance,
        threshold=threshold,
        gallery=gallery,
        expected=expected,
    )


def is_about(line: str, correlation_id: str) -> bool:
    """Whether one of the line's submissions is of that correlation id. Raises as `link_from`."""
    return correlation_id in link_from(line).ids


def links_from(lines: Iterable[str]) -> tuple[Link, ...]:
    """Each link once, in order of its later submission. Of two lines for a pair, with other figures because the gallery
    had grown, the first in sorted order counts."""
    found: dict[LinkName, Link] = {}
    for line in sorted(set(lines)):
        each = link_from(line)
        found.setdefault(each.name, each)
    return tuple(sorted(found.values(), key=_order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Submissions joined by links, over any number of them. Correlation ids are not joined as such: an attacker who
    shows the faces of two strangers doesn't make them one person. `whole`: False when more exists than was read."""

    links: tuple[Link, ...]
    whole: bool = True
    #: The members' submissions, each once, in order of time.
    refs: tuple[SubmissionRef, ...] = field(init=False, repr=False, compare=False)
    #: What `showing` returned: rules, and those who make a cluster large, ask for the same.
    _shown: dict[tuple[str, str, Collection[LinkKind]], Cluster] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        # One reference stands for all equal ones: a link's ends are read with the link, and a member has many links.
        every = [ref for each in self.links for ref in each.refs]
        distinct = dict(zip(map(id, every), every, strict=True)).values()
        ends = {(ref.key, ref.session_id, ref.spoof): ref for ref in distinct}
        object.__setattr__(self, "refs", tuple(sorted(ends.values(), key=attrgetter("key"))))

    @property
    def ids(self) -> tuple[str, ...]:
        """Correlation ids of the members, in order of their first submission."""
        return tuple(dict.fromkeys(ref.correlation_id for ref in self.refs))

    def without(self, cleared_ms: Mapping[str, int], of: str) -> Cluster:
        """The cluster around `of` without the submissions from before a reviewer cleared their correlation id."""
        if all(ref.at_ms > cleared_ms.get(ref.correlation_id, NEVER_CLEARED) for ref in self.refs):
            return self
        return cluster_of(of, [each for each in self.links if each.effective_at(cleared_ms)], whole=self.whole)

    def showing(self, submission_id: str, of: str, kinds: Collection[LinkKind]) -> Cluster:
        """The cluster around one submission by links of these kinds: all submissions that show the same."""
        asked = (submission_id, of, frozenset(kinds))
        if asked not in self._shown:
            links = _joined(
                [each for each in self.links if each.kind in kinds],
                lambda ref: (ref.submission_id, ref.correlation_id) == (submission_id, of),
            )
            self._shown[asked] = Cluster(links=links, whole=self.whole)
        return self._shown[asked]


NO_CLUSTER = Cluster(links=())


def cluster_of(of: str, links: Iterable[Link], *, whole: bool = True) -> Cluster:
    """The cluster around the submissions of the correlation id `of`; of links that repeat the last counts."""
    named = {each.name: each for each in links}.values()
    return Cluster(links=_joined(sorted(named, key=_order), lambda ref: ref.correlation_id == of), whole=whole)


def _joined(links: Sequence[Link], begins: Callable[[SubmissionRef], bool]) -> tuple[Link, ...]:
    """The links connected to a submission for which `begins` holds, in their order."""
    refs = {ref.key: ref for each in links for ref in each.refs}
    reached = {key for key, ref in refs.items() if begins(ref)}
    for _ in range(LOOKS):
        if 0 < len(reached) < len(refs):
            beside = [each for each in links if each.earlier.key in reached or each.later.key in reached]
            reached |= {ref.key for each in beside for ref in each.refs}
    if 0 < len(reached) < len(refs):
        _spread(reached, links)
    return tuple(links) if len(reached) == len(refs) else tuple(each for each in links if each.earlier.key in reached)


def _spread(reached: set[RefKey], links: Iterable[Link]) -> None:
    """Adds the submissions connected to those reached, over any number of links."""
    by_ref: dict[RefKey, list[Link]] = {}
    for each in links:
        for ref in each.refs:
            by_ref.setdefault(ref.key, []).append(each)
    ahead = list(reached)
    while ahead and len(reached) < len(by_ref):
        beyond = {ref.key for each in by_ref[ahead.pop()] for ref in each.refs} - reached
        reached |= beyond
        ahead += beyond


def links_life_ms(policy: Policy) -> int:
    """Retention of links: the longer window of faces and pictures, and a day for submissions that come late."""
    return max(policy.abuse.face_reuse.window_s, policy.abuse.media_replay.window_s) * MS + DAY_MS
