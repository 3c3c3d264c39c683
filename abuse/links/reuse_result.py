"""The result of a reuse search: the cluster around a submission and the histories of its members."""

from __future__ import annotations

from dataclasses import dataclass

from abuse.ledger.ledger import SubjectHistory
from abuse.links.links import NO_CLUSTER, Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How many `faces` a submission's was compared with; not `complete` when the deadline came before the oldest."""

    faces: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseResult:
    """The cluster around a submission's correlation id, and the histories of the other members.

    `compared`: None where no face was compared.
    """

    cluster: Cluster = NO_CLUSTER
    histories: tuple[SubjectHistory, ...] = ()
    compared: Comparison | None = None


NO_REUSE = ReuseResult()
