"""The result of a reuse search: the cluster around a submission and the histories of its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from abuse.flags.flags import FlagKind
from abuse.ledger.ledger import SubjectHistory
from abuse.links.large_clusters import LargeCluster
from abuse.links.links import NO_CLUSTER, Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How many `faces` a submission's was compared with; not `complete` when the deadline came before the oldest."""

    faces: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseResult:
    """The cluster around a submission's correlation id, and the histories of the other members.

    `large`: the large clusters that the submission joined; of each only the lead's and the nearest members' histories
    are read. `compared`: None where no face was compared.
    """

    cluster: Cluster = NO_CLUSTER
    large: Mapping[FlagKind, LargeCluster] = field(default_factory=dict)
    histories: tuple[SubjectHistory, ...] = ()
    compared: Comparison | None = None


NO_REUSE = ReuseResult()
