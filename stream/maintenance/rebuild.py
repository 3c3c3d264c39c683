"""The rebuild of what Redis holds from topics: decisions for duplicates, attempts and links from decisions; flags;
reviews from audit; sessions from their events, with the attempts in detections; and parts of submissions that wait for
others, from detections.

Everything written names itself, so a rebuild on top of an existing table adds what is missing and changes nothing else;
workers may go on meanwhile. Erased subjects stay erased: receipts are read first, and erasures begun since then are
carried out again at the end. `abuse.store_record` says which stores a rebuild writes.

A table that is an older copy (a backup put back) shows by its audit chain, which goes on on the topic: what was erased
since is erased there again, switches become the latest, and the chain goes on at its true end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import orjson

from abuse.event_time import milliseconds
from abuse.flags.flag_events import cleared_field, unlinked_field
from abuse.ledger.ledger import Ledger, Switches
from abuse.links.link_store import LinkStore
from abuse.links.links import Link
from abuse.observation import Observation
from abuse.review.audit import AuditLog, CommandKey, CommandLog, command_of, follows, head_after
from abuse.review.erased import Erased
from abuse.review.erasure import Erasures
from abuse.review.rule_switches import merged
from abuse.subjects import Subject, SubjectType, correlation
from config.settings import Settings
from stream.events.authentication.record_mac import NO_MACS, RecordMacs
from stream.events.message.messages import Detection, Poison, Record
from stream.events.topics import Topic, topic_name
from stream.events.wire.detection_part import DetectionPart, is_part
from stream.kafka.clients.clients import reader
from stream.maintenance import rebuild_records
from stream.maintenance.parts_restoring import PartsRestoring
from stream.maintenance.rebuild_records import NOT_OURS
from stream.maintenance.sessions_restoring import SessionsRestoring
from stream.pipeline.decision_store import DecisionStore, PublishedDecision, unlinked
from stream.review import commands
from stream.review.command_signatures import NO_REVIEWERS, CommandSignatures, SignatureFault, permitted
from stream.review.command_stage import APPLIED
from stream.review.commands import InvalidCommand
from stream.review.kept_command import restored
from stream.review.kinds.base import Command
from stream.review.kinds.subjects import EraseSubject
from stream.runtime.patience import RetryPolicy

T = TypeVar("T")

#: Records written at once.
BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Content of a decision record that a rebuild restores."""

    published: PublishedDecision
    observation: Observation | None
    tenant: str | None
    links: tuple[Link, ...]

    @classmethod
    def of(cls, value: bytes) -> _Read:
        tenant, links = rebuild_records.links_of(value)
        return cls(
            published=rebuild_records.published_of(value),
            observation=rebuild_records.observation_of(value),
            tenant=tenant,
            links=links,
        )


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """Counts of what was read and written; `unreadable` records are foreign or of no version known here."""

    decisions: int = 0
    observations: int = 0
    links: int = 0
    flag_events: int = 0
    audit_entries: int = 0
    #: That Redis lacked.
    sessions: int = 0
    #: Of submissions in parts that are not decided yet.
    parts: int = 0
    unreadable: int = 0
    #: Without a right MAC, and so not believed.
    unauthenticated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    settings: Settings
    ledger: Ledger
    links: LinkStore
    decisions: DecisionStore
    audit: AuditLog
    commands: CommandLog
    erasures: Erasures
    patience: RetryPolicy
    macs: RecordMacs = NO_MACS
    signatures: CommandSignatures = NO_REVIEWERS
    parts: PartsRestoring | None = None
    sessions: SessionsRestoring | None = None

    async def run(self) -> Rebuilt:
        begun = time.monotonic()
        done, erased = Rebuilt(), await self._erased()
        is_older = await self._is_older()
        if is_older:
            await self._erase_from_copy(erased)
        async for batch in self._batches(Topic.DECISIONS, _of_value(_Read.of), done):
            published = self._kept(batch, erased)
            done.decisions += await self.patience.until_available(self.decisions.restore, published)
            observed = [read.observation for read in batch if read.observation is not None]
            observations = [each for each in map(erased.observation, observed) if each is not None]
            await self.patience.until_available(self.ledger.record_all, observations)
            done.observations += len(observations)
            for read in batch:
                kept = [link for link in read.links if not erased.covers_link(read.tenant, link)]
                await self.patience.until_available(self.links.write, read.tenant, kept)
                done.links += len(kept)
        async for batch_of_events in self._batches(Topic.ABUSE_FLAGS, _of_value(rebuild_records.flag_event_of), done):
            events = [each for each in map(erased.flag_event, batch_of_events) if each is not None]
            await self.patience.until_available(self.ledger.record, events)
            done.flag_events += len(events)
        await self._restore(done, is_older=is_older)
        if self.sessions is not None:
            await self._restore_sessions(self.sessions, erased, done, begun)
        if self.parts is not None:
            await self._restore_parts(self.parts, erased, done)
        await self._erase_again(erased)
        return done

    def _kept(self, batch: Sequence[_Read], erased: Erased) -> list[PublishedDecision]:
        """Decisions to restore; of the others it is noted that they were made."""
        left = [(read.published, _left(read, erased)) for read in batch]
        for published, kept in left:
            if kept is None and self.parts is not None:
                self.parts.note_gone(published.ids)
        return [kept for _, kept in left if kept is not None]

    async def _restore_sessions(self, sessions: SessionsRestoring, erased: Erased, done: Rebuilt, begun: float) -> None:
        """Let tokens of sessions be good for the attempts that are left. Their events are read twice: where partitions
        were added, an end may come before its session."""
        now_ms = await self.patience.until_available(sessions.time.now_ms)
        since_ms, is_good = sessions.since_ms(now_ms), False
        async for batch in self._batches(Topic.SESSIONS, sessions.read, done, since_ms):
            created = [each.record for each in batch if each is not None and each.record is not None]
            is_good |= any(now_ms < each.expires_ms for each in created)
            done.sessions += await sessions.create(created, erased, now_ms)
        async for batch in self._batches(Topic.SESSIONS, sessions.read, Rebuilt(), since_ms):
            changed = [each for each in batch if each is not None and each.record is None]
            done.unreadable += await sessions.change(changed)
        if is_good:  # no other session takes an attempt any more
            await sessions.published(begun)
            async for found in self._batches(Topic.DETECTIONS, sessions.detection, Rebuilt()):
                await sessions.take([each for each in found if each is not None])

    async def _restore_parts(self, parts: PartsRestoring, erased: Erased, done: Rebuilt) -> None:
        """Let undecided submissions wait again."""

        def read(record: Record) -> tuple[int, Detection | DetectionPart | None]:
            return record.appended_at_ms, parts.read(record)

        async for batch in self._batches(Topic.DETECTIONS, read, done, proven_elsewhere=is_part):
            done.parts += await parts.restore([(at_ms, part) for at_ms, part in batch if part is not None], erased)
        await parts.close_decided()

    async def _erased(self) -> Erased:
        """Erased subjects, from every receipt on the audit topic."""
        erased = Erased()
        async for record in self._records(Topic.AUDIT):
            with suppress(*NOT_OURS):  # counted when the trail is restored
                erased.take(rebuild_records.entry_of(record.value or b""))
        return erased

    async def _is_older(self) -> bool:
        """Whether the chain has an entry behind the table's end of it: a worker moves the end before it publishes. A
        table without an end may be a copy from before the first command."""
        head, has_next = await self.patience.until_available(self.audit.peek), False
        async for record in self._records(Topic.AUDIT):
            with suppress(*NOT_OURS):
                entry = rebuild_records.entry_of(record.value or b"")
                has_next |= head is None or follows(entry, head)
        return has_next and await self.patience.until_available(self.audit.peek) == head

    async def _erase_from_copy(self, erased: Erased) -> None:
        """Carry out what was erased since the copy was made, as far back as commands are on their topic. What came
        after an erasure is on the others."""
        async for at_ms, key, subject in self._ordered(commands.read):
            if erased.covers(key.tenant, subject, at_ms) and not await self._is_kept(key):
                if self.parts is not None and subject.type is SubjectType.CORRELATION_ID:
                    await self.parts.discard(key.tenant, subject.key)
                await self.patience.until_available(self.erasures.carry_out, key.tenant, subject)

    async def _erase_again(self, before: Erased) -> None:
        """Carry out erasures that met this rebuild: records may have been written after their removal.

        Such erasures are known by their commands, which are there before they begin, not by receipts, which come when
        they are done. An erasure that has not begun yet will find everything.
        """
        async for at_ms, key, subject in self._ordered(self._signed):
            if not before.covers(key.tenant, subject, at_ms) and await self._is_kept(key):
                await self.patience.until_available(self.erasures.carry_out, key.tenant, subject)

    async def _ordered(self, read: Callable[[Record], object]) -> AsyncIterator[tuple[int, CommandKey, Subject]]:
        """Erasures that commands ask for, each with its record's time in milliseconds and the command's key."""
        async for record in self._records(Topic.COMMANDS):
            command = read(record)
            if isinstance(command, EraseSubject):
                key = CommandKey(command.tenant, command.command_id)
                yield record.appended_at_ms, key, command.subject.subject()

    async def _is_kept(self, key: CommandKey) -> bool:
        return await self.patience.until_available(self.commands.find, key) is not None

    def _signed(self, record: Record) -> Command | InvalidCommand | Poison | None:
        """Command that the stage would obey; None for one by nobody, or by somebody who may not."""
        signer = self.signatures.signer(record)
        if isinstance(signer, SignatureFault):
            return None
        command = commands.read(record)
        return command if isinstance(command, Poison) else permitted(command, signer)

    async def _batches(
        self,
        topic: Topic,
        read: Callable[[Record], T],
        done: Rebuilt,
        since_ms: int | None = None,
        proven_elsewhere: Callable[[Record], bool] = lambda record: False,
    ) -> AsyncIterator[list[T]]:
        batch: list[T] = []
        async for record in self._records(topic, done, proven_elsewhere, since_ms):
            try:
                batch.append(read(record))
            except NOT_OURS:
                done.unreadable += 1
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _records(
        self,
        topic: Topic,
        done: Rebuilt | None = None,
        proven_elsewhere: Callable[[Record], bool] = lambda record: False,
        since_ms: int | None = None,
    ) -> AsyncIterator[Record]:
        """Records that are believed, or carry another proof than a worker's MAC; `done` counts the others."""
        kafka = self.settings.kafka
        async with reader(kafka, topic_name(topic, kafka), from_start=True) as source:
            async for record in source.until_end(since_ms):
                if proven_elsewhere(record) or self.macs.fault(record) is None:
                    yield record
                elif done is not None:
                    done.unauthenticated += 1

    async def _restore(self, done: Rebuilt, *, is_older: bool) -> None:
        """Write reviews and switches in the order of their entries: a later entry on the same thing counts. Switches
        and the end of the chain replace those of an older copy."""
        entries: dict[tuple[str, int], bytes] = {}
        async for record in self._records(Topic.AUDIT, done):
            value = record.value or b""
            try:
                entry = rebuild_records.entry_of(value)
            except NOT_OURS:
                done.unreadable += 1
            else:
                entries.setdefault((entry["chain"], entry["number"]), value)
        switched: dict[str | None, Switches] = {}
        for value in _in_turn(entries):
            try:
                tenant, switches = await self.patience.until_available(self._decided, value)
            except NOT_OURS:
                done.unreadable += 1
                continue
            done.audit_entries += 1
            if switches is not None:
                switched[tenant] = merged(switched.get(tenant, {}), switches)
        for tenant, switches in switched.items():
            await self.patience.until_available(self._switch, tenant, switches, is_older)
        await self._restore_head(entries, is_older)

    async def _decided(self, value: bytes) -> tuple[str | None, Switches | None]:
        """Write an entry's clearings and its command's answer; return its tenant and the switches it changed."""
        entry = orjson.loads(value)
        tenant, subject = entry["tenant"], rebuild_records.cleared_of(entry)
        switches = rebuild_records.switches_of(entry)
        if subject is not None:
            name, text = cleared_field(entry["command_id"], milliseconds(entry["at"]))
            await self.ledger.clear(tenant, subject, name, text)
        for other in rebuild_records.unlinked_of(entry):
            name, text = unlinked_field(entry["command_id"], milliseconds(entry["at"]))
            await self.ledger.clear(tenant, other, name, text)
        kind = commands.COMMANDS.get(entry["command"]) if entry["outcome"] == APPLIED else None
        told = {} if kind is None else kind.plan_told(entry)
        await self.commands.put_if_absent(command_of(entry), restored(entry, value, told).to_bytes())
        return tenant, switches

    async def _switch(self, tenant: str | None, switches: Switches, is_older: bool) -> None:
        """Write the tenant's switches unless the table has some: a command may have written them meanwhile."""
        if is_older or not await self.ledger.switches(tenant):
            await self.ledger.switch(tenant, switches)

    async def _restore_head(self, entries: Mapping[tuple[str, int], bytes], is_older: bool) -> None:
        """Let the latest chain go on at its end. Entries are in order of their numbers, not of their times: commands of
        several partitions are carried out as they come."""
        if entries and (is_older or (await self.patience.until_available(self.audit.head)).number == 0):
            latest = orjson.loads(max(entries.values(), key=_when))["chain"]
            last = max(number for chain, number in entries if chain == latest)
            await self.patience.until_available(self.audit.restore, head_after(entries[latest, last]))


def _of_value(read: Callable[[bytes], T]) -> Callable[[Record], T]:
    """Reader of a record by its value alone."""
    return lambda record: read(record.value or b"")


def _left(read: _Read, erased: Erased) -> PublishedDecision | None:
    """Decision without links to erased correlation ids; None if its own was erased."""
    published, seen = read.published, read.observation
    ids, at_ms = published.ids, published.decided_at_ms if seen is None else seen.at_ms
    if ids.correlation_id is not None and erased.covers(ids.tenant, correlation(ids.correlation_id), at_ms):
        return None
    for link in read.links:
        for end in link.refs:
            if erased.covers(read.tenant, correlation(end.correlation_id), end.at_ms):
                published = replace(published, decision=unlinked(published.decision, end.correlation_id))
    return published


def _in_turn(entries: Mapping[tuple[str, int], bytes]) -> list[bytes]:
    """Entries of one chain after the other, each by its numbers."""
    begun: dict[str, tuple[str, str, int]] = {}
    for (chain, _), entry in entries.items():
        begun[chain] = min(begun.get(chain, _when(entry)), _when(entry))
    return [entries[place] for place in sorted(entries, key=lambda place: (begun[place[0]], place))]


def _when(entry: bytes) -> tuple[str, str, int]:
    document = orjson.loads(entry)
    return document["at"], document["chain"], document["number"]
