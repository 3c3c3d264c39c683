"""The command stage: a person's decision, carried out once and answered once on the audit topic.

signer -> read -> plan -> keep the plan -> carry it out -> append to the audit chain -> publish. After a crash the kept
plan is carried out again, with the same effect and the same answer; the same command sent again is answered with the
same bytes and changes nothing.

An erased subject is named in the kept plan until the plan is carried out, and in no answer: neither in its text nor
as its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from abuse.event_time import iso8601
from abuse.review import plan_codec
from abuse.review.audit import AuditLog, CommandKey, CommandLog
from abuse.review.refusals import CommandRefused
from stream.events.authentication.forgeries import Forgeries
from stream.events.message.messages import Output, Poison, Record
from stream.events.topics import Topic
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.event_times import EventTimes
from stream.review import commands
from stream.review.command_signatures import NO_REVIEWERS, CommandSignatures, SignatureFault, permitted, signed_by
from stream.review.commands import COMMANDS, InvalidCommand
from stream.review.kept_command import KeptCommand, RecordPosition, kept_from
from stream.review.kinds.base import Command, ReviewServices
from stream.review.reviewers import Reviewer
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

LONGEST_KEY = 256

APPLIED, REFUSED = "applied", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStage:
    """The stage waits while the table is away. One record at a time: commands are few, and their order matters."""

    services: ReviewServices
    log: CommandLog
    audit: AuditLog
    patience: RetryPolicy
    times: EventTimes
    topics: Mapping[Topic, str]
    dead_letters: DeadLetters
    forgeries: Forgeries
    source: str
    signatures: CommandSignatures = NO_REVIEWERS

    async def handle(self, record: Record) -> Sequence[Output]:
        signer = self.signatures.signer(record)
        if isinstance(signer, SignatureFault):
            return [self.forgeries.letter(record, signer, signer.words)]
        command = commands.read(record)
        if isinstance(command, Poison):
            return [self.dead_letters.poison(record, command)]
        return await self.patience.until_available(self._obey, permitted(command, signer), signer, record)

    async def answer(self, record: Record) -> Sequence[Output]:
        """No answer: an entry of the audit chain is only written by the path that failed."""
        return []

    async def _obey(self, command: Command | InvalidCommand, signer: Reviewer | None, record: Record) -> list[Output]:
        """May be begun again at any point."""
        key = CommandKey(command.tenant, command.command_id)
        held = await self.log.find(key)
        if held is None:
            held = await self.log.put_if_absent(key, (await self._planned(command, signer, record)).to_bytes())
        kept = kept_from(held)
        if kept.answer is None:
            kept = await self._carried_out(kept)
            await self.log.replace(key, kept.to_bytes())
            metrics.COMMANDS.labels(outcome=kept.entry["outcome"]).inc()
        return [*await self._brought_about(kept, record), self._answer(kept, record)]

    async def _planned(self, command: Command | InvalidCommand, signer: Reviewer | None, record: Record) -> KeptCommand:
        at_ms = await self.times.counted(record.appended_at_ms)
        entry, plan_document = _refused(command, at_ms) | signed_by(command, signer), plan_codec.without_effect({})
        if isinstance(command, Command):
            try:
                plan = await command.plan(self.services, at_ms)
                plan_document = command.plan_codec.to_document(plan)
                entry |= {"outcome": APPLIED, "error": None, "changed": plan.changed}
            except CommandRefused as refused:
                entry["error"] = {"code": refused.code, "message": str(refused)}
                entry |= {"details": refused.details} if refused.details else {}
        return KeptCommand(
            position=_position(record), entry=entry, plan=plan_document, after=await self.audit.head(), answer=None
        )

    async def _carried_out(self, kept: KeptCommand) -> KeptCommand:
        document = kept.plan
        if kept.entry["outcome"] == APPLIED:
            kind = COMMANDS[kept.entry["command"]]
            plan = kind.plan_codec.from_document(kept.plan)
            await kind.apply(self.services, kept.entry["tenant"], plan)
            document = kind.plan_codec.to_document(plan.carried_out())
        assert kept.after is not None, "kept with its plan"
        answer = await self.audit.append(kept.entry, kept.after)
        return replace(kept, plan=document, answer=answer.decode())

    async def _brought_about(self, kept: KeptCommand, record: Record) -> Sequence[Output]:
        """Records of a change. Of most kinds, only the record that brought the change about publishes it."""
        kind = COMMANDS.get(kept.entry["command"])
        if kind is None or (kept.position != _position(record) and not kind.answers_again):
            return ()
        if kept.entry["outcome"] != APPLIED:
            return kind.refused(kept.entry, self.topics, self.source)
        plan, tenant = kind.plan_codec.from_document(kept.plan), kept.entry["tenant"]
        return await kind.outputs(self.services, tenant, plan, self.topics, self.source)

    def _answer(self, kept: KeptCommand, record: Record) -> Output:
        value = (kept.answer or "").encode()
        command_id: str = kept.entry["command_id"]
        headers = binary_headers(
            EventType.AUDIT,
            event_id=orjson.loads(value)["sha256"],
            source=self.source,
            subject=command_id,
            extensions={"tenant": kept.entry["tenant"]},
        )
        kind = COMMANDS.get(kept.entry["command"])
        # A key of a megabyte would make the answer one that the broker never takes.
        own = len(record.key or b"") > LONGEST_KEY or (kind is not None and kind.key_is_private)
        key = command_id.encode() if own else record.key
        return Output(topic=self.topics[Topic.AUDIT], key=key, value=value, headers=headers)


def _refused(command: Command | InvalidCommand, at_ms: int) -> dict[str, Any]:
    """The audit entry of a command that has no plan, or none yet."""
    return {
        "command_id": command.command_id,
        "command": command.name,
        **{name: getattr(command, name) for name in ("actor", "reason", "note", "tenant")},
        "error": {"code": command.code, "message": command.message} if isinstance(command, InvalidCommand) else None,
        "at": iso8601(at_ms),
        "outcome": REFUSED,
        "changed": {},
    }


def _position(record: Record) -> RecordPosition:
    return [record.topic, record.partition, record.offset, record.appended_at_ms]
