"""Commands for tests, and a command stage over a table in memory: each builder takes only what a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from abuse.faces.face_index import InMemoryFaceIndex
from abuse.flags.flag_events import raised
from abuse.flags.flags import (
    NEVER_CLEARED,
    Evidence,
    Flag,
    FlagEvent,
    FlagKind,
    FlagRefusal,
    RefusalKind,
    RuleFinding,
    Severity,
)
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.links.large_clusters import InMemoryLargeClusters, LargeClusters
from abuse.links.link_store import InMemoryLinkStore, LinkStore
from abuse.pictures.frame_index import InMemoryFrameIndex
from abuse.pictures.media_index import InMemoryMediaIndex
from abuse.review.audit import AuditLog, CommandLog, InMemoryAuditLog, InMemoryCommandLog
from abuse.review.erasure import Erasures, InMemoryLedgerErasure, LedgerErasure
from abuse.review.reviews import FlagReviews
from abuse.review.rule_switches import RuleSwitches
from abuse.store_time import StillTime
from abuse.subjects import Subject, correlation
from config.policy import Policy
from stream.events.authentication.forgeries import Forgeries
from stream.events.message.messages import Headers, Output, Record
from stream.events.topics import Topic
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.event_times import LATEST_MS, EventTimes
from stream.pipeline.decision.parts_erasure import PartsErasure
from stream.pipeline.decision_store import InMemoryDecisionStore
from stream.pipeline.join.pending import InMemoryPendingDetections
from stream.review.command_signatures import CommandSignatures
from stream.review.command_stage import CommandStage
from stream.review.kinds.base import ReviewServices
from stream.runtime.patience import RetryPolicy
from stream.sessions.desk import SessionDesk
from tests.instants import NOW_MS
from tests.unit.abuse.builders import DAY_S, POLICY_NAME, at_ms, guid

FLAG_TTL_S = 30 * DAY_S
ME, OTHER = correlation(guid(1)), correlation(guid(2))
LETTERS = DeadLetters(topic="dead", max_bytes=1024 * 1024)
FLAG_ID = "fl_" + "0a" * 12
#: When commands come in, in seconds after the first submission; flags are raised before.
DECIDED_S = 1000.0
#: What can't be erased, and for how many milliseconds it is kept.
BEYOND = {"submissions": DAY_S * 1000, "audit": None}


def fields(command: str = "flag.override", **changes: Any) -> dict[str, Any]:
    """A command's JSON; a field set to `...` is left out."""
    given = {"command": command, "command_id": "c-1", "actor": "ann", "reason": "false_positive", **changes}
    return {name: value for name, value in given.items() if value is not ...}


def record(value: bytes | None, headers: Headers = (), offset: int = 7, at_s: float = DECIDED_S) -> Record:
    place = {"topic": "commands", "partition": 0, "offset": offset}
    return Record(**place, key=b"key", value=value, headers=headers, appended_at_ms=at_ms(at_s))


def sent(command: str = "flag.override", *, offset: int = 7, at_s: float = DECIDED_S, **changes: Any) -> Record:
    return record(orjson.dumps(fields(command, **changes)), offset=offset, at_s=at_s)


def about(subject: Subject) -> dict[str, str]:
    return {"type": str(subject.type), "key": subject.key}


def flag_events(
    kind: FlagKind = FlagKind.ATTACK_FREQUENCY,
    *,
    subject: Subject = ME,
    tenant: str | None = None,
    at_s: float = 0.0,
    level: int = 1,
    ttl_s: int = FLAG_TTL_S,
) -> list[FlagEvent]:
    """A shadow flag with a refusal that would run for an hour."""
    at = at_ms(at_s)
    finding = RuleFinding(
        kind=kind,
        subject=subject,
        severities=(Severity.MEDIUM,) * level,
        first_ms=at,
        at_ms=at,
        evidence=Evidence(used=8, limit=8, window_s=86_400),
        refusal=FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at, until_ms=at + 3_600_000),
    )
    by = {"tenant": tenant, "cause": "sub-1", "cleared_at_ms": NEVER_CLEARED, "policy": POLICY_NAME}
    return raised(finding, enforced=False, ttl_s=ttl_s, **by)


async def flagged(ledger: Ledger, kind: FlagKind = FlagKind.ATTACK_FREQUENCY, **given: Any) -> str:
    """Raise a flag; its id."""
    events = flag_events(kind, **given)
    await ledger.record(events)
    return events[0].flag_id


async def flag(ledger: Ledger, subject: Subject = ME, tenant: str | None = None) -> Flag:
    """The only flag of a subject."""
    (one,) = (await ledger.read_history(tenant, [subject])).flags
    return one


@dataclass
class Reviewer:
    """The table, the logs, and a stage over them as a worker has it."""

    ledger: Any = field(default_factory=InMemoryLedger)
    log: CommandLog = field(default_factory=InMemoryCommandLog)
    audit: AuditLog = field(default_factory=InMemoryAuditLog)
    links: LinkStore = field(default_factory=InMemoryLinkStore)
    large: LargeClusters = field(default_factory=InMemoryLargeClusters)
    traces: LedgerErasure | None = None
    faces: InMemoryFaceIndex = field(default_factory=InMemoryFaceIndex)
    pictures: InMemoryMediaIndex = field(default_factory=InMemoryMediaIndex)
    frames: InMemoryFrameIndex = field(default_factory=InMemoryFrameIndex)
    decisions: InMemoryDecisionStore = field(default_factory=InMemoryDecisionStore)
    parts: InMemoryPendingDetections = field(default_factory=InMemoryPendingDetections)
    signatures: CommandSignatures = field(default_factory=CommandSignatures)
    sessions: SessionDesk | None = None

    @property
    def erasures(self) -> Erasures:
        return Erasures(
            ledger=self.traces or InMemoryLedgerErasure(self.ledger),
            links=self.links,
            large=self.large,
            decisions=self.decisions,
            by_id={
                "parts": PartsErasure(
                    pending=self.parts, decisions=self.decisions, policy=Policy(), time=StillTime(NOW_MS)
                ),
                "faces": self.faces,
                "pictures": self.pictures,
                "frames": self.frames,
            },
            links_ms=8 * DAY_S * 1000,
            beyond=BEYOND,
        )

    @property
    def stage(self) -> CommandStage:
        return CommandStage(
            services=ReviewServices(
                flags=FlagReviews(self.ledger, self.links, FLAG_TTL_S),
                switches=RuleSwitches(self.ledger),
                erasures=self.erasures,
                sessions=self.sessions,
            ),
            log=self.log,
            audit=self.audit,
            patience=RetryPolicy(),
            times=EventTimes(StillTime(LATEST_MS), RetryPolicy()),
            topics={Topic.AUDIT: "audit", Topic.ABUSE_FLAGS: "flags", Topic.SESSIONS: "sessions"},
            dead_letters=LETTERS,
            forgeries=Forgeries(Topic.COMMANDS, LETTERS),
            signatures=self.signatures,
            source="/test",
        )

    async def obey(self, given: Record) -> list[Output]:
        return list(await self.stage.handle(given))

    async def answer(self, given: Record) -> dict[str, Any]:
        """The audit entry that answers a command."""
        entry: dict[str, Any] = orjson.loads((await self.obey(given))[-1].value or b"")
        return entry

    @property
    def table(self) -> dict[str, Any]:
        """The table's content, comparable."""
        names = ("journals", "fields", "locators", "due_at", "switched")
        return {name: orjson.dumps(_plain(getattr(self.ledger, name)), option=orjson.OPT_SORT_KEYS) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items() if each != {}}
    return sorted(value) if isinstance(value, set) else str(value)


def published(outputs: Sequence[Output], topic: str) -> list[Output]:
    return [output for output in outputs if output.topic == topic]


def header(output: Output, name: str) -> str | None:
    return next((value.decode() for key, value in output.headers if key == name), None)


def moved(given: Record, offset: int = 8) -> Record:
    """The same command in another record."""
    return replace(given, offset=offset)
