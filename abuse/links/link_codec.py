"""A link as decisions and `liveness abuse show` have it, and back: what the book of links is rebuilt from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abuse.event_time import iso8601, milliseconds
from abuse.links.links import Cluster, Link, LinkKind
from abuse.submission_ref import SubmissionRef


def to_document(link: Link) -> dict[str, Any]:
    return {
        "kind": link.kind,
        "ends": [
            {
                "correlation_id": end.correlation_id,
                "session": end.session_id,
                "submission": end.submission_id,
                "when": iso8601(end.at_ms),
                "spoof": end.spoof,
            }
            for end in link.ends
        ],
        "distance": round(link.distance, 4),
        "threshold": round(link.threshold, 4),
        "gallery": link.gallery,
        "expected_false_links": float(f"{link.expected:.3g}"),
    }


def from_document(document: Mapping[str, Any]) -> Link:
    """The inverse; raises KeyError, ValueError or TypeError for what no worker wrote."""
    earlier, later = (
        SubmissionRef(
            at_ms=milliseconds(end["when"]),
            submission_id=end["submission"],
            correlation_id=end["correlation_id"],
            session_id=end["session"],
            spoof=end["spoof"],
        )
        for end in document["ends"]
    )
    return Link(
        kind=LinkKind(document["kind"]),
        earlier=earlier,
        later=later,
        distance=document["distance"],
        threshold=document["threshold"],
        gallery=document["gallery"],
        expected=document["expected_false_links"],
    )


def cluster_document(cluster: Cluster) -> dict[str, Any]:
    """Who is in it, since when, and why."""
    ends = cluster.ends
    return {
        "correlation_ids": list(cluster.ids),
        "sessions": list(dict.fromkeys(end.session_id for end in ends if end.session_id is not None)),
        "first_seen": iso8601(ends[0].at_ms) if ends else None,
        "last_seen": iso8601(ends[-1].at_ms) if ends else None,
        "whole": cluster.whole,
        "links": [to_document(link) for link in cluster.links],
    }
