"""Links as documents in decisions and in `liveness abuse show`, and back: the link store is rebuilt from decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abuse.event_time import iso8601, milliseconds
from abuse.links.links import Cluster, Link, LinkKind
from abuse.submission_ref import submission_ref_from


def to_document(link: Link) -> dict[str, Any]:
    return {
        "kind": link.kind,
        "ends": [
            {
                "correlation_id": ref.correlation_id,
                "session": ref.session_id,
                "submission": ref.submission_id,
                "when": iso8601(ref.at_ms),
                "spoof": ref.spoof,
            }
            for ref in link.refs
        ],
        "distance": round(link.distance, 4),
        "threshold": round(link.threshold, 4),
        "gallery": link.gallery,
        "expected_false_links": float(f"{link.expected:.3g}"),
    }


def from_document(document: Mapping[str, Any]) -> Link:
    """The link of a document; raises KeyError, ValueError or TypeError for a document that no worker wrote."""
    earlier, later = (
        submission_ref_from(
            milliseconds(ref["when"]), ref["submission"], ref["correlation_id"], ref["session"], ref["spoof"]
        )
        for ref in document["ends"]
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
    """A cluster's members, times and links."""
    refs = cluster.refs
    return {
        "correlation_ids": list(cluster.ids),
        "sessions": list(dict.fromkeys(ref.session_id for ref in refs if ref.session_id is not None)),
        "first_seen": iso8601(refs[0].at_ms) if refs else None,
        "last_seen": iso8601(refs[-1].at_ms) if refs else None,
        "whole": cluster.whole,
        "links": [to_document(link) for link in cluster.links],
    }
