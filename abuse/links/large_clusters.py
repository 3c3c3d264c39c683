"""Large clusters: the port, what is kept of a cluster too large to be read for each newcomer, and a store in memory.

A cluster of `LARGE_SIZE` members is read once more, named, and not read again: a newcomer whose face or picture is that
of a known member joins by the member's hint. What is kept is a count without ids, the reference of the lead (the
earliest member that was read), and a hint with each member. Nothing is lost with a hint: the cluster is read then.
Joining twice, late, or in another order gives the same count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import orjson

from abuse.event_time import MS
from abuse.flags.flags import FlagKind
from abuse.links.links import LINKING, Cluster, Link
from abuse.submission_ref import RefKey, SubmissionRef

#: Members from which a cluster is large, unless the rule's limit is higher.
LARGE_SIZE = 24
#: Members by whose hints a newcomer looks for its large cluster, the nearest. Each costs five commands.
HINTS_READ = 4
#: Hints kept of one correlation id, the last of each: ids that show many faces have no more.
_HINTS_KEPT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The side of a large cluster: whether its members share a face or a picture (`kind` is that of the flag), and
    whether their verdicts were SPOOF: an attacker's uses of a stolen photograph are counted apart from its owner's."""

    kind: FlagKind
    spoof: bool

    def counts(self, ref: SubmissionRef) -> bool:
        """Whether a submission is a member: among attacks everything is counted, among the others no attack."""
        return self.spoof or not ref.spoof

    def member(self, ref: SubmissionRef) -> str:
        """The member that a submission stands for: a correlation id, for pictures each session of it."""
        with_session = self.kind is FlagKind.MEDIA_REPLAY
        return f"{ref.correlation_id} {ref.session_id or ''}" if with_session else ref.correlation_id

    def hint(self, ref: SubmissionRef) -> str:
        """The field of a submission's hint among those of its correlation id."""
        return f"{self.kind} {int(self.spoof)} {crc32(ref.submission_id.encode()) % _HINTS_KEPT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeCluster:
    """A large cluster when a newcomer joined: the lead's submission, the number of members so far, and the link to the
    member by which the newcomer joined. The link is evidence for the lead's flag and is kept nowhere else."""

    lead: SubmissionRef
    size: int
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A submission known as a member of a large cluster, by the cluster's name and lead."""

    ref: SubmissionRef
    name: str
    lead: SubmissionRef


class LargeClusters(Protocol):
    """The port. Calls raise `config.errors.Unavailable` when the table is away, and may be repeated then."""

    async def members(self, tenant: str | None, refs: Sequence[tuple[Shown, SubmissionRef]]) -> list[Member | None]:
        """Which of these submissions are members of a large cluster; None for the others. Called by the reuse search
        for a submission with candidates. One round trip where there are none or all are of the clusters joined last
        (`leads_met`), else two."""

    def leads_met(self, tenant: str | None) -> Collection[str]:
        """Correlation ids that led the clusters which this worker joined last: a hint whose histories to read along. An
        erasure needs to know nothing of these: a lead counts only as long as the store names the lead."""

    async def join(self, tenant: str | None, own: SubmissionRef, names: Mapping[Shown, str]) -> dict[Shown, int]:
        """Make the submission a member of these clusters; return their sizes. One round trip, none for no names."""

    async def create(self, tenant: str | None, made: FoundedCluster) -> None:
        """Make a large cluster of submissions that were read. One round trip."""

    async def forget(self, tenant: str | None, correlation_id: str) -> None:
        """Remove the correlation id's hints, and the reference of each cluster that the id leads: such a cluster is
        read again, and made again without the id. Called by an erasure. May be repeated. Up to three round trips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundedCluster:
    """A cluster that has become large: its members' submissions in order, and the lead among them."""

    shown: Shown
    lead: SubmissionRef
    refs: tuple[SubmissionRef, ...]

    @property
    def name(self) -> str:
        """The name of the cluster, which tells nobody's ids."""
        return hashlib.sha256(orjson.dumps([self.shown.kind, self.shown.spoof, self.lead.key])).hexdigest()[:24]


def founded(
    cluster: Cluster, own: SubmissionRef, kind: FlagKind, *, limit: int, window_s: int
) -> FoundedCluster | None:
    """The large cluster that a submission makes of the cluster around it; None for a smaller one.

    Only submissions within the rule's window count. The earliest leads; among attacks the earliest of an id that was
    never seen genuine: what is flagged on the lead must not be flagged on the owner of a stolen photograph.
    """
    shown = Shown(kind=kind, spoof=own.spoof)
    around = cluster.showing(own.submission_id, own.correlation_id, LINKING[kind]).refs
    refs = tuple(ref for ref in around if shown.counts(ref) and abs(own.at_ms - ref.at_ms) <= window_s * MS)
    genuine = {ref.correlation_id for ref in refs if not ref.spoof} if shown.spoof else set[str]()
    lead = next((ref for ref in refs if ref.correlation_id not in genuine), None)
    if lead is None or len(set(map(shown.member, refs))) < max(LARGE_SIZE, limit):
        return None
    return FoundedCluster(shown=shown, lead=lead, refs=refs)


class InMemoryLargeClusters:
    """The fake: counts exactly, and expires nothing."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.hints: dict[tuple[str, str], dict[str, tuple[RefKey, str]]] = {}
        self.leads: dict[tuple[str, str], SubmissionRef] = {}
        self.counted: dict[tuple[str, str], set[str]] = {}
        self._on_call = on_call

    async def members(self, tenant: str | None, refs: Sequence[tuple[Shown, SubmissionRef]]) -> list[Member | None]:
        self._on_call("members")
        return [self._member(tenant or "", shown, ref) for shown, ref in refs]

    async def join(self, tenant: str | None, own: SubmissionRef, names: Mapping[Shown, str]) -> dict[Shown, int]:
        self._on_call("join")
        return {shown: self._add(tenant or "", shown, name, [own]) for shown, name in names.items()}

    async def create(self, tenant: str | None, made: FoundedCluster) -> None:
        self._on_call("create")
        self.leads[tenant or "", made.name] = made.lead
        self._add(tenant or "", made.shown, made.name, made.refs)

    async def forget(self, tenant: str | None, correlation_id: str) -> None:
        self._on_call("forget")
        self.hints.pop((tenant or "", correlation_id), None)
        mine = (tenant or "", correlation_id)
        self.leads = {place: lead for place, lead in self.leads.items() if (place[0], lead.correlation_id) != mine}

    def leads_met(self, tenant: str | None) -> Collection[str]:
        return {lead.correlation_id for (owner, _), lead in self.leads.items() if owner == (tenant or "")}

    def _member(self, tenant: str, shown: Shown, ref: SubmissionRef) -> Member | None:
        key, name = self.hints.get((tenant, ref.correlation_id), {}).get(shown.hint(ref), (None, ""))
        lead = self.leads.get((tenant, name))
        return Member(ref=ref, name=name, lead=lead) if key == ref.key and lead is not None else None

    def _add(self, tenant: str, shown: Shown, name: str, refs: Iterable[SubmissionRef]) -> int:
        for ref in refs:
            self.counted.setdefault((tenant, name), set()).add(shown.member(ref))
            self.hints.setdefault((tenant, ref.correlation_id), {})[shown.hint(ref)] = (ref.key, name)
        return len(self.counted[tenant, name])
