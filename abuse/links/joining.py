"""Joining large clusters: the nearest candidates tell which, the lead's history whether the cluster still counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from abuse.flags.flags import FlagKind
from abuse.ledger.ledger import Ledger, Snapshot, SubjectHistory
from abuse.links.large_clusters import HINTS_READ, LargeCluster, LargeClusters, Member, Shown
from abuse.links.links import Link, strength
from abuse.subjects import correlation
from abuse.submission_ref import SubmissionRef

#: Links of one submission to its candidates, by the kind of flag that they may bring about.
Near = Mapping[FlagKind, Sequence[Link]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The large clusters that a submission joined, with the link by which it did, and the histories read on the way.

    `near`: the links to candidates without members of a cluster that a reviewer forgave.
    """

    near: Near
    clusters: Mapping[FlagKind, LargeCluster] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    histories: tuple[SubjectHistory, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJoin:
    """Called by the reuse search for a submission with candidates. May be repeated."""

    large: LargeClusters
    ledger: Ledger

    async def join(self, tenant: str | None, own: SubmissionRef, near: Near) -> Joined:
        """Four round trips into a large cluster, one where there is none, and three more past a forgiven one. Raises
        `config.errors.Unavailable`."""
        members = await self._nearest(tenant, own, near)
        if not members:
            return Joined(near=near)
        histories = await self._histories(tenant, members.values())
        forgiven = {kind: each for kind, each in members.items() if _forgiven_ms(each, histories) >= each.lead.at_ms}
        if forgiven:
            near = await self._without(tenant, own, near, forgiven, histories)
            members = await self._nearest(tenant, own, near)
            histories = await self._histories(tenant, members.values())
        members = {kind: each for kind, each in members.items() if _in_force(each, histories)}
        sizes = await self.large.join(tenant, own, {_shown(kind, own): each.name for kind, each in members.items()})
        return Joined(
            near=near,
            clusters={
                kind: LargeCluster(lead=each.lead, size=sizes[_shown(kind, own)]) for kind, each in members.items()
            },
            links=tuple(
                next(link for link in near[kind] if other_end(link, own) == each.ref) for kind, each in members.items()
            ),
            histories=tuple(histories.values()),
        )

    async def _nearest(self, tenant: str | None, own: SubmissionRef, near: Near) -> dict[FlagKind, Member]:
        """Of each kind one of the nearest candidates that is a member; workers choose alike where there are several."""
        nearest = {kind: sorted(links, key=strength)[:HINTS_READ] for kind, links in near.items()}
        found: dict[FlagKind, Member] = {}
        for kind, member in await self._members(tenant, own, nearest):
            found[kind] = min(found.get(kind, member), member, key=lambda each: (each.name, each.ref.key))
        return found

    async def _members(self, tenant: str | None, own: SubmissionRef, near: Near) -> list[tuple[FlagKind, Member]]:
        asked = [(kind, other_end(link, own)) for kind, links in near.items() for link in links]
        members = await self.large.members(tenant, [(_shown(kind, own), ref) for kind, ref in asked])
        return [(kind, each) for (kind, _), each in zip(asked, members, strict=True) if each is not None]

    async def _without(
        self,
        tenant: str | None,
        own: SubmissionRef,
        near: Near,
        forgiven: Mapping[FlagKind, Member],
        histories: Mapping[str, SubjectHistory],
    ) -> Near:
        """The links without those to members, up to the reviewer's word, of the forgiven clusters."""
        known = await self._members(tenant, own, {kind: near[kind] for kind in forgiven})
        gone = {
            (kind, each.ref)
            for kind, each in known
            if each.name == forgiven[kind].name and each.ref.at_ms <= _forgiven_ms(forgiven[kind], histories)
        }
        return {
            kind: [link for link in links if (kind, other_end(link, own)) not in gone] for kind, links in near.items()
        }

    async def _histories(self, tenant: str | None, members: Collection[Member]) -> dict[str, SubjectHistory]:
        names = sorted({ref.correlation_id for each in members for ref in (each.ref, each.lead)})
        known = await self.ledger.read_history(tenant, list(map(correlation, names))) if names else Snapshot()
        return {history.subject.key: history for history in known.histories}


def other_end(link: Link, own: SubmissionRef) -> SubmissionRef:
    """The end of a link that isn't `own`."""
    return link.earlier if link.later.key == own.key else link.later


def _shown(kind: FlagKind, own: SubmissionRef) -> Shown:
    return Shown(kind=kind, spoof=own.spoof)


def _forgiven_ms(member: Member, histories: Mapping[str, SubjectHistory]) -> int:
    return histories[member.lead.correlation_id].forgiven_at_ms


def _in_force(member: Member, histories: Mapping[str, SubjectHistory]) -> bool:
    """Whether neither the member nor the lead was cleared since."""
    return all(ref.at_ms > histories[ref.correlation_id].unlinked_at_ms for ref in (member.ref, member.lead))
