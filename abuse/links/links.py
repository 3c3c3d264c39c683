"""Links: two submissions that show the same face or the same picture, and the clusters that links form.

A link is a line kept with both correlation ids it joins, so that from any member of a cluster all others are found.
A line says everything about its link, and a pair has one (`link_store`), the first that was told: writing it twice,
late, or from the other end changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from abuse.event_time import DAY_MS, MS
from abuse.flags.flags import NEVER_CLEARED, FlagKind
from abuse.submission_ref import RefKey, SubmissionRef, submission_ref_from
from config.policy import Policy

#: Links kept with one correlation id, the newest; and those one submission may add of a kind, the foremost. Far more
#: than a person needs, and a bound on what somebody with thousands of ids and one face can cost.
LINKS_KEPT = 64
LINKS_ADDED = 16
#: Correlation ids of one cluster that are looked at, and how many links away the farthest may be.
MOST_MEMBERS = 64
MOST_STEPS = 4


class LinkKind(StrEnum):
    """Why two submissions are linked, the strongest reason first."""

    SAME_BYTES = "same_bytes"
    SAME_PIXELS = "same_pixels"
    NEAR_DUPLICATE = "near_duplicate"
    FACE = "face"


_RANK = {kind: rank for rank, kind in enumerate(LinkKind)}
MEDIA = frozenset({LinkKind.SAME_BYTES, LinkKind.SAME_PIXELS, LinkKind.NEAR_DUPLICATE})
#: Which links a flag of these kinds is about.
LINKING = {FlagKind.FACE_REUSE: frozenset({LinkKind.FACE}), FlagKind.MEDIA_REPLAY: MEDIA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`distance` is that of the templates, or the bits that differ between two perceptual hashes.

    `threshold`, `gallery` and `expected` say how sure it is: the bound that held, how many faces were compared, and
    how many of them would be that near by chance.
    """

    kind: LinkKind
    earlier: SubmissionRef
    later: SubmissionRef
    distance: float = 0.0
    threshold: float = 0.0
    gallery: int = 0
    expected: float = 0.0

    @property
    def ends(self) -> tuple[SubmissionRef, SubmissionRef]:
        return (self.earlier, self.later)

    @property
    def ids(self) -> tuple[str, str]:
        """The two correlation ids; the same one twice for a picture used again in another session."""
        return (self.earlier.correlation_id, self.later.correlation_id)

    @property
    def submissions(self) -> tuple[str, str]:
        return (self.earlier.submission_id, self.later.submission_id)

    @property
    def name(self) -> tuple[str, RefKey, RefKey]:
        """What tells it from every other link."""
        return (str(self.kind), self.earlier.place, self.later.place)

    def effective_at(self, cleared_ms: Mapping[str, int]) -> bool:
        """Whether both submissions came in after a reviewer cleared their correlation id, if one did."""
        return all(end.at_ms > cleared_ms.get(end.correlation_id, NEVER_CLEARED) for end in self.ends)


def in_order(one: SubmissionRef, other: SubmissionRef) -> tuple[SubmissionRef, SubmissionRef]:
    """The earlier and the later of two ends, whichever is given first."""
    return (one, other) if one.place < other.place else (other, one)


def foremost(links: Iterable[Link]) -> list[Link]:
    """One link a pair of correlation ids and sessions, the strongest. First the strongest of each pair of ids, then
    further sessions: one id with many of them leaves room for the others."""
    by_ids: dict[tuple[str, ...], dict[tuple[str | None, ...], Link]] = {}
    for each in sorted(links, key=strength):
        ends = sorted(each.ends, key=lambda end: end.correlation_id)
        best = by_ids.setdefault(tuple(end.correlation_id for end in ends), {})
        best.setdefault(tuple(end.session_id for end in ends), each)
    ranked = [(rank, each) for best in by_ids.values() for rank, each in enumerate(best.values())]
    return [each for _, each in sorted(ranked, key=lambda one: (one[0], strength(one[1])))]


def strength(link: Link) -> tuple[int, float, tuple[str, RefKey, RefKey]]:
    """Least for the strongest."""
    return (_RANK[link.kind], link.distance, link.name)


def line_of(link: Link) -> str:
    ends = [list(end.told.values()) for end in link.ends]
    figures = [round(link.distance, 4), round(link.threshold, 4), link.gallery, float(f"{link.expected:.3g}")]
    return orjson.dumps([link.kind, *ends, *figures]).decode()


def link_from(line: str) -> Link:
    """The inverse of `line_of`; raises ValueError, TypeError or KeyError for anything else."""
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
    """Whether one of the line's ends is of that correlation id. Raises as `link_from` does."""
    return correlation_id in link_from(line).ids


def links_from(lines: Iterable[str]) -> tuple[Link, ...]:
    """Each link once, in order of its later end. Of a pair that was told twice, with other figures because the gallery
    had grown, the first to be sorted counts."""
    found: dict[tuple[str, RefKey, RefKey], Link] = {}
    for line in sorted(set(lines)):
        each = link_from(line)
        found.setdefault(each.name, each)
    return tuple(sorted(found.values(), key=_order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Submissions joined by links, over any number of them. Correlation ids are not joined as such: somebody who shows
    the faces of two strangers doesn't make them one. `whole` is False when there was more than was looked at."""

    links: tuple[Link, ...]
    whole: bool = True

    @property
    def ends(self) -> tuple[SubmissionRef, ...]:
        """Its submissions, each once, in order of time."""
        return tuple(sorted({end for each in self.links for end in each.ends}, key=lambda end: end.place))

    @property
    def ids(self) -> tuple[str, ...]:
        """Its correlation ids, in order of their first submission."""
        return tuple(dict.fromkeys(end.correlation_id for end in self.ends))

    def without(self, cleared_ms: Mapping[str, int], of: str) -> Cluster:
        """What is joined to submissions of `of` when none counts that came in before a reviewer cleared its id."""
        kept = [each for each in self.links if each.effective_at(cleared_ms)]
        return self if len(kept) == len(self.links) else cluster_of(of, kept, whole=self.whole)

    def showing(self, submission_id: str, of: str, kinds: Collection[LinkKind]) -> Cluster:
        """What is joined to one submission by links of these kinds: all that show the same."""
        links = _joined(
            (each for each in self.links if each.kind in kinds),
            lambda end: (end.submission_id, end.correlation_id) == (submission_id, of),
        )
        return Cluster(links=links, whole=self.whole)


NO_CLUSTER = Cluster(links=())


def cluster_of(of: str, links: Iterable[Link], *, whole: bool = True) -> Cluster:
    """What is joined to the submissions of the correlation id `of` by these links, of which each may be there several
    times."""
    return Cluster(links=_joined(links, lambda end: end.correlation_id == of), whole=whole)


def _joined(links: Iterable[Link], begins: Callable[[SubmissionRef], bool]) -> tuple[Link, ...]:
    """The links that lead to where it begins, in order."""
    named = {each.name: each for each in links}.values()
    at: dict[RefKey, list[Link]] = {}
    for each in named:
        for end in each.ends:
            at.setdefault(end.place, []).append(each)
    ahead = list({end.place for each in named for end in each.ends if begins(end)})
    reached = set(ahead)
    while ahead:
        beyond = {end.place for each in at[ahead.pop()] for end in each.ends} - reached
        reached |= beyond
        ahead += beyond
    return tuple(sorted((each for each in named if each.earlier.place in reached), key=_order))


def _order(link: Link) -> tuple[RefKey, RefKey, str]:
    return (link.later.place, link.earlier.place, str(link.kind))


def links_life_ms(policy: Policy) -> int:
    """As long as what is linked is looked for, and a day for what comes late."""
    return max(policy.abuse.face_reuse.window_s, policy.abuse.media_replay.window_s) * MS + DAY_MS
