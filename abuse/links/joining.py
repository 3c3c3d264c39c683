"""Joining large clusters: the nearest candidates tell which, the lead's history whether the cluster still counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from abuse.flags.flags import FlagKind
from abuse.ledger.ledger import SubjectHistory
from abuse.links.histories_read import HistoriesRead
from abuse.links.large_clusters import HINTS_READ, LargeCluster, LargeClusters, Member, Shown
from abuse.links.links import Link, strength
from abuse.submission_ref import SubmissionRef

#: Links of one submission to its candidates, by the kind of flag that they may bring about.
Near = Mapping[FlagKind, Sequence[Link]]
_Histories = Mapping[str, SubjectHistory]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The large clusters that a submission joined. `near`: the links to candidates without members of a cluster that a
    reviewer forgave."""

    near: Near
    clusters: Mapping[FlagKind, LargeCluster] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Led:
    """A candidate that is a member of a large cluster, and the link to it."""

    kind: FlagKind
    link: Link
    member: Member

    def forgiven(self, histories: _Histories) -> bool:
        """Whether a reviewer forgave the cluster after this member came in."""
        at_ms = histories[self.member.lead.correlation_id].forgiven_at_ms
        return at_ms >= max(self.member.lead.at_ms, self.member.ref.at_ms)

    def in_force(self, histories: _Histories) -> bool:
        """Whether neither the member nor the lead was cleared since."""
        refs = (self.member.ref, self.member.lead)
        return all(ref.at_ms > histories[ref.correlation_id].unlinked_at_ms for ref in refs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJoin:
    """Called by the reuse search for a submission with candidates. May be repeated."""

    large: LargeClusters
    histories: HistoriesRead

    async def join(self, tenant: str | None, own: SubmissionRef, near: Near) -> Joined:
        """Two round trips into the large cluster joined last, four into another, one where there is none, and three
        more past a forgiven one. The histories of both ends of each link are read. Raises
        `config.errors.Unavailable`."""
        nearest = {kind: sorted(links, key=strength)[:HINTS_READ] for kind, links in near.items()}
        ids = {name for links in near.values() for each in links for name in each.ids}
        if not ids:
            return Joined(near=near)
        lately = self.large.leads_met(tenant)
        led, _ = await asyncio.gather(self._led(tenant, own, nearest), self.histories.read({*ids, *lately}))
        histories = self.histories.known
        await self.histories.read(_ids(led))
        if any(each.forgiven(histories) for each in led):
            led = await self._led(tenant, own, near)
            await self.histories.read(_ids(led))
            gone = {(each.kind, each.link.name) for each in led if each.forgiven(histories)}
            near = {kind: [link for link in links if (kind, link.name) not in gone] for kind, links in near.items()}
        chosen: dict[FlagKind, _Led] = {}
        for each in led:
            if each.in_force(histories):
                # Workers choose alike where there are several clusters.
                chosen[each.kind] = min(chosen.get(each.kind, each), each, key=_by_name)
        names = {_shown(kind, own): each.member.name for kind, each in chosen.items()}
        sizes = await self.large.join(tenant, own, names) if names else {}
        return Joined(
            near=near,
            clusters={
                kind: LargeCluster(lead=each.member.lead, size=sizes[_shown(kind, own)], link=each.link)
                for kind, each in chosen.items()
            },
        )

    async def _led(self, tenant: str | None, own: SubmissionRef, near: Near) -> list[_Led]:
        asked = [(kind, link) for kind, links in near.items() for link in links]
        if not asked:
            return []
        refs = [(_shown(kind, own), other_end(link, own)) for kind, link in asked]
        members = await self.large.members(tenant, refs)
        return [
            _Led(kind=kind, link=link, member=member)
            for (kind, link), member in zip(asked, members, strict=True)
            if member is not None
        ]


def _ids(led: Sequence[_Led]) -> set[str]:
    """The correlation ids of the members and their leads."""
    return {ref.correlation_id for each in led for ref in (each.member.ref, each.member.lead)}


def other_end(link: Link, own: SubmissionRef) -> SubmissionRef:
    """The end of a link that isn't `own`."""
    return link.earlier if link.later.key == own.key else link.later


def _by_name(led: _Led) -> tuple[str, tuple[str, object, object]]:
    return (led.member.name, led.link.name)


def _shown(kind: FlagKind, own: SubmissionRef) -> Shown:
    return Shown(kind=kind, spoof=own.spoof)
