"""The command stage: what a person decided, done once and answered once on the audit topic.

read -> plan -> keep the plan -> carry it out -> append to the audit chain -> publish. After a crash the kept plan is
carried out again, with the same effect and the same answer; the same command sent again is answered with the same
bytes and changes nothing.

Who was erased is in the kept plan until it is carried out, and in no answer: neither in its text nor as its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from abuse.event_time import iso8601
from abuse.flags.flag_events import Review
from abuse.review import plan_codec
from abuse.review.audit import AuditLog, CommandKey, CommandLog, Head
from abuse.review.erasure import Erasures
from abuse.review.reviews import Plan, Refused, Reviews
from stream.events.cloud_events import EventType, binary_headers
from stream.events.dead_letter import dead_letter
from stream.events.flag_output import flag_output
from stream.events.messages import Output, Poison, Record
from stream.review import commands
from stream.review.commands import Command, CommandName, InvalidCommand
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

LONGEST_KEY = 256

NO_PLAN = Plan(changed={})


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStage:
    """Waits while the table is away. One record at a time: commands are few, and their order matters."""

    reviews: Reviews
    erasures: Erasures
    log: CommandLog
    audit: AuditLog
    patience: RetryPolicy
    audit_topic: str
    flags_topic: str
    dead_letter_topic: str
    max_event_bytes: int
    source: str

    async def handle(self, record: Record) -> Sequence[Output]:
        command = commands.read(record)
        if isinstance(command, Poison):
            metrics.DEAD_LETTERS.labels(reason=command.reason).inc()
            topic, reason, message = self.dead_letter_topic, command.reason, command.message
            return [dead_letter(record, topic, reason=reason, message=message, max_bytes=self.max_event_bytes)]
        return await self.patience.until_available(lambda: self._obey(command, record))

    async def _obey(self, command: Command | InvalidCommand, record: Record) -> list[Output]:
        """May be begun again at any point."""
        key = CommandKey(command.tenant, command.command_id)
        held = await self.log.find(key)
        if held is None:
            held = await self.log.put_if_absent(key, orjson.dumps(await self._draft(command, record)))
        draft: dict[str, Any] = orjson.loads(held)
        plan = plan_codec.from_document(draft["plan"])
        if draft["answer"] is None:
            await self._carry_out(draft["entry"]["tenant"], plan)
            answer = await self.audit.append(draft["entry"], Head(**draft["after"]))
            draft["answer"] = answer.decode()
            draft["plan"] = plan_codec.to_document(replace(plan, erases=None))
            await self.log.replace(key, orjson.dumps(draft))
            metrics.COMMANDS.labels(outcome=draft["entry"]["outcome"]).inc()
        # Sent again it is answered again; only the record that brought the change about publishes it.
        flags = plan.events if draft["record"] == _place(record) else ()
        answered = self._answer(draft["answer"].encode(), draft["entry"], record)
        return [*(flag_output(event, self.flags_topic, self.source) for event in flags), answered]

    async def _carry_out(self, tenant: str | None, plan: Plan) -> None:
        await self.reviews.carry_out(tenant, plan)
        if plan.erases is not None:
            await self.erasures.carry_out(tenant, plan.erases)

    async def _draft(self, command: Command | InvalidCommand, record: Record) -> dict[str, Any]:
        entry, plan = _entry(command, record), NO_PLAN
        if isinstance(command, Command):
            try:
                plan = await self._plan(command, record)
                entry |= {"outcome": "applied", "error": None, "changed": plan.changed}
            except Refused as refused:
                entry["error"] = {"code": refused.code, "message": str(refused)}
        head = await self.audit.head()
        return {
            "record": _place(record),
            "entry": entry,
            "plan": plan_codec.to_document(plan),
            "after": {"chain": head.chain, "number": head.number, "sha256": head.sha256},
            "answer": None,
        }

    async def _plan(self, command: Command, record: Record) -> Plan:
        review = Review(
            command_id=command.command_id,
            actor=command.actor,
            reason=command.reason,
            note=command.note,
            at_ms=record.appended_at_ms,
        )
        match command.name:
            case CommandName.CONFIRM:
                return await self.reviews.confirm(command.tenant, command.target, review)
            case CommandName.OVERRIDE:
                return await self.reviews.override(command.tenant, command.target, review)
            case CommandName.RESET:
                assert command.correlation_id is not None, "the model asks for it"
                return await self.reviews.reset(command.tenant, command.correlation_id, review)
            case CommandName.SETTINGS:
                return await self.reviews.switch(command.tenant, command.switches)
            case CommandName.ERASE:
                assert command.target.subject is not None, "the model asks for it"
                return await self.erasures.plan(command.tenant, command.target.subject, record.appended_at_ms)

    def _answer(self, value: bytes, entry: Mapping[str, Any], record: Record) -> Output:
        command_id: str = entry["command_id"]
        headers = binary_headers(
            EventType.AUDIT,
            event_id=orjson.loads(value)["sha256"],
            source=self.source,
            subject=command_id,
            extensions={"tenant": entry["tenant"]},
        )
        # A key of a megabyte would make the answer one that the broker never takes; that of an erasure names whom.
        own = len(record.key or b"") > LONGEST_KEY or entry["command"] == CommandName.ERASE
        return Output(
            topic=self.audit_topic, key=command_id.encode() if own else record.key, value=value, headers=headers
        )


def _entry(command: Command | InvalidCommand, record: Record) -> dict[str, Any]:
    """What the audit trail says; refused until a plan says otherwise."""
    return {
        "command_id": command.command_id,
        "command": command.name,
        "actor": command.actor,
        "reason": command.reason,
        "note": command.note,
        "tenant": command.tenant,
        "error": {"code": command.code, "message": command.message} if isinstance(command, InvalidCommand) else None,
        "at": iso8601(record.appended_at_ms),
        "outcome": "refused",
        "changed": {},
    }


def _place(record: Record) -> list[Any]:
    return [record.topic, record.partition, record.offset, record.appended_at_ms]
