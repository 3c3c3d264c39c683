"""The result of a reuse search: the cluster around a submission and the histories of its members."""

from __future__ import annotations

from dataclasses import dataclass

from abuse.ledger.ledger import SubjectHistory
from abuse.links.links import NO_CLUSTER, Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Of a submission's face with `faces` others; not `complete` when time ran out before the oldest."""

    faces: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseResult:
    """What shows the same face or picture as a submission, and what is known of the other correlation ids there."""

    cluster: Cluster = NO_CLUSTER
    histories: tuple[SubjectHistory, ...] = ()
    compared: Comparison | None = None


NO_REUSE = ReuseResult()
