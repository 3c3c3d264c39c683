"""Reviews: a person confirms a flag, overrides it, or resets a correlation id.

A review is planned first, from what the table holds, and carried out after the plan is safely stored.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from abuse.flags.flag_events import Review, cleared_field, confirmed, overridden, rescored, unlinked_field
from abuse.flags.flags import Flag, FlagState
from abuse.flags.mentions import linked_submissions
from abuse.ledger.ledger import Ledger, find
from abuse.links.link_store import LinkStore, cluster_around
from abuse.links.links import LINKING
from abuse.review.plans import Clearing, FlagPlan
from abuse.review.refusals import CommandErrorCode, CommandRefused
from abuse.subjects import Subject, SubjectType, correlation, subject_document

#: New correlation ids follow from the command, so that the same command gives the same one.
_NAMESPACE = uuid.UUID("8f6f1f0e-7f5b-5b0c-9b1d-2a3c1c0b8f11")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagTarget:
    """The flags a review is about: one by its id, or all open flags of a subject."""

    flag_id: str | None = None
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class FlagReviews:
    """Reviews of flags in the table. `ttl_s`: how long a confirmed flag lives.

    `confirm`, `override` and `reset` plan: each reads the table, writes nothing, and raises CommandRefused when
    there is nothing to decide. Every call raises `stream.runtime.patience.Unavailable` when the table is away.
    """

    ledger: Ledger
    links: LinkStore
    ttl_s: int

    async def confirm(self, tenant: str | None, target: FlagTarget, review: Review) -> FlagPlan:
        """The flags stand; flags that others have for the same face or picture rise by a level."""
        flags = await self._meant(tenant, target, review.at_ms)
        fresh = [flag for flag in flags if not _confirmed_by_another(flag, review)]
        if not fresh:
            raise CommandRefused(CommandErrorCode.ALREADY_CONFIRMED, "a reviewer has confirmed it already")
        events = [confirmed(flag, review, self.ttl_s) for flag in fresh]
        linked = await self._linked(tenant, fresh, review.at_ms)
        risen = [(other, rescored(other, review, fresh[0].subject.key)) for other in linked]
        events += [event for _, event in risen if event is not None]
        changed = {"flags": _changes(fresh, FlagState.CONFIRMED)}
        if linked:
            rescored_flags = [other for other, event in risen if event is not None]
            changed["rescored"] = _changes(rescored_flags, FlagState.ESCALATED)
        return FlagPlan(changed=changed, events=tuple(events))

    async def override(self, tenant: str | None, target: FlagTarget, review: Review) -> FlagPlan:
        """The flags end, and those of others for the same face or picture; the subject's past no longer counts."""
        flags = await self._meant(tenant, target, review.at_ms)
        subject = flags[0].subject
        others = [flag.flag_id for flag in await self._open(tenant, subject, review.at_ms) if flag not in flags]
        linked = await self._linked(tenant, flags, review.at_ms)
        shared = [flag for flag in flags if flag.kind in LINKING]
        return self._lifted(tenant, flags, subject, review, still_open=others, linked=linked, shared=shared)

    async def reset(self, tenant: str | None, correlation_id: str, review: Review) -> FlagPlan:
        """Every open flag of the id is overridden, its past no longer counts, and a new id is issued."""
        subject = correlation(correlation_id)
        return self._lifted(tenant, await self._open(tenant, subject, review.at_ms), subject, review)

    async def apply(self, tenant: str | None, plan: FlagPlan) -> None:
        """Carry the plan out. The subject is cleared last: until then what is known of the subject stays reviewable."""
        await self.ledger.record(plan.events)
        for clearing in plan.clearings:
            await self.ledger.clear(tenant, clearing.subject, clearing.name, clearing.text)

    def _lifted(
        self,
        tenant: str | None,
        flags: Sequence[Flag],
        subject: Subject,
        review: Review,
        still_open: Sequence[str] = (),
        linked: Sequence[Flag] = (),
        shared: Sequence[Flag] = (),
    ) -> FlagPlan:
        """The plan that overrides `flags`, and `linked` flags on others for the same reason, whose links no longer
        count; nor do those of `shared` flags, which forgives the large cluster that one of them may be about."""
        name, text = cleared_field(review.command_id, review.at_ms)
        unlinked = {flag.subject.key: flag.subject for flag in (*linked, *shared)}
        changed: dict[str, Any] = {
            "flags": _changes(flags, FlagState.OVERRIDDEN),
            "cleared": subject_document(subject),
            "still_open": list(still_open),
        }
        if linked:
            changed["linked"] = _changes(linked, FlagState.OVERRIDDEN)
        if subject.type is SubjectType.CORRELATION_ID:
            changed["correlation_id"] = subject.key
            changed["new_correlation_id"] = str(uuid.uuid5(_NAMESPACE, f"{tenant or ''} {review.command_id}"))
        return FlagPlan(
            changed=changed,
            events=tuple(overridden(flag, review) for flag in (*flags, *linked)),
            clearings=(
                *(unlinking(other, review.command_id, review.at_ms) for _, other in sorted(unlinked.items())),
                Clearing(subject=subject, name=name, text=text),
            ),
        )

    async def _linked(self, tenant: str | None, flags: Sequence[Flag], at_ms: int) -> Sequence[Flag]:
        """Open flags on the correlation ids that share the face or picture these flags, all of one subject, are about:
        each once, and none that a reviewer has confirmed. A flag of the same id for another face is left alone: the
        reviewer has said nothing of that face."""
        found: dict[str, Flag] = {}
        for kind in sorted({flag.kind for flag in flags if flag.kind in LINKING}):
            own = flags[0].subject.key
            cluster = await cluster_around(self.links, tenant, own, of_kinds=LINKING[kind])
            shown = {(end.correlation_id, end.submission_id) for end in cluster.refs}
            known = await self.ledger.read_history(tenant, [correlation(name) for name in cluster.ids if name != own])
            found |= {
                flag.flag_id: flag
                for flag in known.flags
                if flag.kind is kind and flag.open_at(at_ms) and flag.state is not FlagState.CONFIRMED
                if not shown.isdisjoint(linked_submissions(flag.documents))
            }
        return list(found.values())

    async def _meant(self, tenant: str | None, target: FlagTarget, at_ms: int) -> Sequence[Flag]:
        """The flags to decide on: never none. Raises CommandRefused."""
        if target.flag_id is not None:
            return [await self._by_id(tenant, target.flag_id, at_ms)]
        assert target.subject is not None, "a target has a flag or a subject"
        flags = await self._open(tenant, target.subject, at_ms)
        if not flags:
            raise CommandRefused(CommandErrorCode.NO_OPEN_FLAG, "the subject has no open flag")
        return flags

    async def _open(self, tenant: str | None, subject: Subject, at_ms: int) -> Sequence[Flag]:
        known = await self.ledger.read_history(tenant, [subject])
        return [flag for flag in known.flags if flag.open_at(at_ms)]

    async def _by_id(self, tenant: str | None, flag_id: str, at_ms: int) -> Flag:
        flag = await find(self.ledger, flag_id)
        if flag is None or flag.tenant != tenant:
            raise CommandRefused(CommandErrorCode.UNKNOWN_FLAG, "no flag has this id (another tenant's can't be seen)")
        if flag.state is FlagState.OVERRIDDEN:
            raise CommandRefused(CommandErrorCode.ALREADY_OVERRIDDEN, "a reviewer has overridden it already")
        if not flag.open_at(at_ms):
            raise CommandRefused(CommandErrorCode.FLAG_EXPIRED, "the flag has expired")
        return flag


def unlinking(subject: Subject, command_id: str, at_ms: int) -> Clearing:
    """The clearing of a subject's links: submissions up to now link the subject to nobody."""
    name, text = unlinked_field(command_id, at_ms)
    return Clearing(subject=subject, name=name, text=text)


def _confirmed_by_another(flag: Flag, review: Review) -> bool:
    """Whether another command confirmed the flag. This one may have, and lost everything but the flag's event."""
    return flag.state is FlagState.CONFIRMED and flag.event["cause"] != review.command_id


def _changes(flags: Sequence[Flag], state: FlagState) -> list[dict[str, Any]]:
    return [
        {
            "flag_id": flag.flag_id,
            "kind": flag.kind,
            "subject": subject_document(flag.subject),
            "from": flag.state,
            "to": state,
        }
        for flag in flags
    ]
