"""Findings of rules on clusters: a face or picture under too many ids is a finding about each of the ids.

An id with only SPOOF verdicts is counted only against other such ids, so that stealing a photograph can't flag its
owner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from abuse.flags.flags import HIGHEST_GROWTH, FlagKind, Linked, RuleFinding
from abuse.ledger.journal import Attempt
from abuse.ledger.windows import Window
from abuse.links.large_clusters import LargeCluster
from abuse.links.links import LINKING, Cluster, Link, LinkKind, strength
from abuse.observation import Finding
from abuse.rules.base import MOST_LINKED, Case, Count, as_linked, evidence_of, finding_of, fullest_windows
from abuse.subjects import correlation
from abuse.submission_ref import RefKey, SubmissionRef

Figures = Callable[[Cluster], Mapping[str, int | float | str]]
#: A window, how full it is, and the correlation ids that a finding about it concerns.
_Full = tuple[float, Window, Collection[str]]


def shared_by_too_many_ids(kind: FlagKind, case: Case, figures: Figures, count: Count) -> tuple[RuleFinding, ...]:
    """A finding for each correlation id in the fullest window of each day that the observation is in; of a large
    cluster only one, about the lead."""
    observation = case.observation
    if kind in case.large:
        return _growth(kind, case.large[kind], figures, count)
    cluster = case.cluster.showing(observation.submission_id, observation.correlation_id, LINKING[kind])
    attempts = [_as_attempt(end) for end in cluster.refs]
    genuine = [attempt for attempt in attempts if attempt.finding is not Finding.SPOOF]
    with_genuine = {attempt.correlation_id for attempt in genuine}
    sides = [(attempts, {attempt.correlation_id for attempt in attempts} - with_genuine)]
    if observation.finding is not Finding.SPOOF:
        sides.append((genuine, with_genuine))
    full = [
        (used, window, concerned)
        for counted, concerned in sides
        if concerned
        for used, window in fullest_windows(observation.at_ms, counted, count)
    ]
    return tuple(_findings(kind, cluster, full, figures, count)) if full else ()


def _growth(kind: FlagKind, large: LargeCluster, figures: Figures, count: Count) -> tuple[RuleFinding, ...]:
    """The finding about the lead of a large cluster: a level more each time the number of members is doubled."""
    if large.size < count.limit:
        return ()
    cluster = Cluster(links=(large.link,), whole=False)
    window = Window(tuple(_as_attempt(ref) for ref in sorted({large.lead, *cluster.refs}, key=lambda ref: ref.key)))
    shown = _linked(_best(cluster), Window(tuple(map(_as_attempt, cluster.refs))))
    counts = {**figures(cluster), "ids": large.size, "whole": "no"}
    evidence = replace(evidence_of(large.size, window, count, shown), counts=counts)
    finding = finding_of(kind, correlation(large.lead.correlation_id), window, count, evidence, HIGHEST_GROWTH)
    return (replace(finding, continues=True),)


def _findings(
    kind: FlagKind, cluster: Cluster, full: Sequence[_Full], figures: Figures, count: Count
) -> Iterator[RuleFinding]:
    """Findings about the concerned correlation ids of each window, all of a window with the same evidence."""
    told, best = figures(cluster), _best(cluster)
    for used, window, concerned in full:
        counts = {**told, "ids": window.ids, "whole": "yes" if cluster.whole else "no"}
        evidence = replace(evidence_of(used, window, count, _linked(best, window)), counts=counts)
        for name in sorted({attempt.correlation_id for attempt in window.attempts}.intersection(concerned)):
            yield finding_of(kind, correlation(name), window, count, evidence)


def _as_attempt(end: SubmissionRef) -> Attempt:
    """An attempt for windows, in which only SPOOF or not matters."""
    return Attempt(
        at_ms=end.at_ms,
        submission_id=end.submission_id,
        correlation_id=end.correlation_id,
        session_id=end.session_id,
        finding=Finding.SPOOF if end.spoof else Finding.INCONCLUSIVE,
    )


def _best(cluster: Cluster) -> Mapping[RefKey, Link]:
    """The best link of each submission."""
    best_last = sorted(cluster.links, key=strength, reverse=True)
    return {key: each for each in best_last for key in (each.earlier.key, each.later.key)}


def _linked(best: Mapping[RefKey, Link], window: Window) -> tuple[Linked, ...]:
    """The newest submission of each correlation id and session, and why it is in the cluster."""
    newest = {(attempt.correlation_id, attempt.session_id): attempt for attempt in window.attempts}
    shown = sorted(newest.values(), key=lambda each: (each.at_ms, each.submission_id, each.session_id or ""))
    return tuple(
        as_linked(each, _why(each, best[each.at_ms, each.submission_id, each.correlation_id]))
        for each in shown[-MOST_LINKED:]
    )


def _why(attempt: Attempt, link: Link) -> str:
    end = link.later
    at_its_end = (end.submission_id, end.correlation_id) == (attempt.submission_id, attempt.correlation_id)
    return f"{described(link)}: {(link.earlier if at_its_end else link.later).submission_id}"


def described(link: Link) -> str:
    """Why two submissions are linked, in a few words."""
    match link.kind:
        case LinkKind.FACE:
            return f"same face at {link.distance:.3f}"
        case LinkKind.NEAR_DUPLICATE:
            return f"near-duplicate picture, {link.distance:.0f} of 64 bits apart"
        case _:
            return str(link.kind).replace("_", " ")
