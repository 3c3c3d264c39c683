"""What people decide: confirm a flag, override it, reset a correlation id, switch a rule.

A decision is planned first, from what the table holds, and carried out after the plan is safely stored: carried out
twice, it has the same effect.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from abuse.flags.flag_events import Review, cleared_field, confirmed, overridden, rescored, unlinked_field
from abuse.flags.flags import Flag, FlagEvent, FlagState
from abuse.flags.mentions import linked_submissions
from abuse.ledger.ledger import Ledger, Switches, find
from abuse.links.link_book import LinkStore, cluster_around
from abuse.links.links import LINKING
from abuse.subjects import Subject, SubjectType, correlation, subject_document

#: New correlation ids follow from the command, so that the same command gives the same one.
_NAMESPACE = uuid.UUID("8f6f1f0e-7f5b-5b0c-9b1d-2a3c1c0b8f11")


class RefusalCode(StrEnum):
    """Why a command changed nothing."""

    INVALID_COMMAND = "INVALID_COMMAND"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    UNKNOWN_FLAG = "UNKNOWN_FLAG"
    NO_OPEN_FLAG = "NO_OPEN_FLAG"
    FLAG_EXPIRED = "FLAG_EXPIRED"
    ALREADY_CONFIRMED = "ALREADY_CONFIRMED"
    ALREADY_OVERRIDDEN = "ALREADY_OVERRIDDEN"
    NOTHING_TO_CHANGE = "NOTHING_TO_CHANGE"


class Refused(Exception):
    """The command changes nothing; the message says why in words."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """A subject whose past no longer counts."""

    subject: Subject
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a command will do: `changed` is for the answer, the rest for the table. `switches` are only those to change:
    somebody else may switch other rules before the plan is carried out, or carried out again. `erases` is whom
    `abuse.review.erasure` removes."""

    changed: dict[str, Any]
    events: tuple[FlagEvent, ...] = ()
    clearings: tuple[Clearing, ...] = ()
    switches: Switches | None = None
    erases: Subject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which flags are meant: one by its id, or all open ones of a subject."""

    flag_id: str | None = None
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class Reviews:
    """Plans read the table and write nothing; they raise `Refused`. `ttl_s`: how long a confirmed flag lives."""

    ledger: Ledger
    book: LinkStore
    ttl_s: int

    async def confirm(self, tenant: str | None, target: Target, review: Review) -> Plan:
        flags = await self._meant(tenant, target, review.at_ms)
        fresh = [flag for flag in flags if not _confirmed_by_another(flag, review)]
        if not fresh:
            raise Refused(RefusalCode.ALREADY_CONFIRMED, "a reviewer has confirmed it already")
        events = [confirmed(flag, review, self.ttl_s) for flag in fresh]
        linked = await self._linked(tenant, fresh, review.at_ms)
        risen = [(other, rescored(other, review, fresh[0].subject.key)) for other in linked]
        events += [event for _, event in risen if event is not None]
        changed = {"flags": _changes(fresh, FlagState.CONFIRMED)}
        if linked:
            rescored_flags = [other for other, event in risen if event is not None]
            changed["rescored"] = _changes(rescored_flags, FlagState.ESCALATED)
        return Plan(changed=changed, events=tuple(events))

    async def override(self, tenant: str | None, target: Target, review: Review) -> Plan:
        flags = await self._meant(tenant, target, review.at_ms)
        subject = flags[0].subject
        others = [flag.flag_id for flag in await self._open(tenant, subject, review.at_ms) if flag not in flags]
        linked = await self._linked(tenant, flags, review.at_ms)
        return self._lifted(tenant, flags, subject, review, still_open=others, linked=linked)

    async def reset(self, tenant: str | None, correlation_id: str, review: Review) -> Plan:
        """Every open flag of the id is overridden, its past no longer counts, and a new id is issued."""
        subject = correlation(correlation_id)
        return self._lifted(tenant, await self._open(tenant, subject, review.at_ms), subject, review)

    async def switch(self, tenant: str | None, wanted: Switches) -> Plan:
        before = await self.ledger.switches(tenant)
        after = merged(before, wanted)
        if after == before:
            raise Refused(RefusalCode.NOTHING_TO_CHANGE, "the rules are switched like this already")
        return Plan(changed={"before": before, "after": after}, switches=wanted)

    async def carry_out(self, tenant: str | None, plan: Plan) -> None:
        """May be repeated. The subject is cleared last: until then what is known of it stays reviewable."""
        await self.ledger.record(plan.events)
        for clearing in plan.clearings:
            await self.ledger.clear(tenant, clearing.subject, clearing.name, clearing.text)
        if plan.switches is not None:
            held = await self.ledger.switches(tenant)
            await self.ledger.switch(tenant, merged(held, plan.switches))

    def _lifted(
        self,
        tenant: str | None,
        flags: Sequence[Flag],
        subject: Subject,
        review: Review,
        still_open: Sequence[str] = (),
        linked: Sequence[Flag] = (),
    ) -> Plan:
        """`linked`: flags on others for the same reason. They are overridden too, and their links no longer count."""
        name, text = cleared_field(review.command_id, review.at_ms)
        unlinked = sorted({flag.subject.key: flag.subject for flag in linked}.items())
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
        return Plan(
            changed=changed,
            events=tuple(overridden(flag, review) for flag in (*flags, *linked)),
            clearings=(
                *(unlinking(other, review.command_id, review.at_ms) for _, other in unlinked),
                Clearing(subject=subject, name=name, text=text),
            ),
        )

    async def _linked(self, tenant: str | None, flags: Sequence[Flag], at_ms: int) -> Sequence[Flag]:
        """Open flags on the correlation ids that share the face or picture these flags, all of one subject, are about:
        each once, and none that a reviewer has confirmed. An id may be flagged for another face as well: of that the
        reviewer has said nothing."""
        found: dict[str, Flag] = {}
        for kind in sorted({flag.kind for flag in flags if flag.kind in LINKING}):
            own = flags[0].subject.key
            cluster = await cluster_around(self.book, tenant, own, of_kinds=LINKING[kind])
            shown = {(end.correlation_id, end.submission_id) for end in cluster.ends}
            known = await self.ledger.read_history(tenant, [correlation(name) for name in cluster.ids if name != own])
            found |= {
                flag.flag_id: flag
                for flag in known.flags
                if flag.kind is kind and flag.open_at(at_ms) and flag.state is not FlagState.CONFIRMED
                if not shown.isdisjoint(linked_submissions(flag.documents))
            }
        return list(found.values())

    async def _meant(self, tenant: str | None, target: Target, at_ms: int) -> Sequence[Flag]:
        """The flags to decide on: never none. Raises Refused."""
        if target.flag_id is not None:
            return [await self._by_id(tenant, target.flag_id, at_ms)]
        assert target.subject is not None, "a target has a flag or a subject"
        flags = await self._open(tenant, target.subject, at_ms)
        if not flags:
            raise Refused(RefusalCode.NO_OPEN_FLAG, "the subject has no open flag")
        return flags

    async def _open(self, tenant: str | None, subject: Subject, at_ms: int) -> Sequence[Flag]:
        known = await self.ledger.read_history(tenant, [subject])
        return [flag for flag in known.flags if flag.open_at(at_ms)]

    async def _by_id(self, tenant: str | None, flag_id: str, at_ms: int) -> Flag:
        flag = await find(self.ledger, flag_id)
        if flag is None or flag.tenant != tenant:
            raise Refused(RefusalCode.UNKNOWN_FLAG, "no flag has this id (another tenant's can't be seen)")
        if flag.state is FlagState.OVERRIDDEN:
            raise Refused(RefusalCode.ALREADY_OVERRIDDEN, "a reviewer has overridden it already")
        if not flag.open_at(at_ms):
            raise Refused(RefusalCode.FLAG_EXPIRED, "the flag has expired")
        return flag


def unlinking(subject: Subject, command_id: str, at_ms: int) -> Clearing:
    """What the subject submitted up to now links it to nobody."""
    name, text = unlinked_field(command_id, at_ms)
    return Clearing(subject=subject, name=name, text=text)


def _confirmed_by_another(flag: Flag, review: Review) -> bool:
    """And not by this very command, of which everything but the flag's event may have been lost."""
    return flag.state is FlagState.CONFIRMED and flag.event["cause"] != review.command_id


def merged(held: Switches, wanted: Switches) -> Switches:
    """The switches that are held, but for those wanted otherwise."""
    both = {rule: {**held.get(rule, {}), **wanted.get(rule, {})} for rule in sorted({*held, *wanted})}
    return {rule: on for rule, on in both.items() if on}


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
