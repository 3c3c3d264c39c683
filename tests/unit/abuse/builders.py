"""Observations, cases and a whole abuse table for tests: each builder takes only what a test is about.

Times are seconds after `START_MS`, six in the morning of a day in UTC, so that a test knows which day it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abuse.flags.flag_events import PolicyName, Review
from abuse.flags.flags import FlagEvent
from abuse.ledger.expiry import MOST_AT_ONCE, expiry_of
from abuse.ledger.journal import Attempt, attempt_of, attempts_from, line_of
from abuse.ledger.ledger import InMemoryLedger, Ledger
from abuse.observation import Finding, Observation, Origin
from abuse.rules import RULES
from abuse.rules.base import Case, RuleResult
from abuse.rules.engine import AbuseEngine, Assessment
from abuse.subjects import Subject, SubjectType
from config.limits.abuse import AbusePolicy

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
DAY_MS = DAY_S * 1000
START_MS = 19_675 * DAY_MS + 6 * HOUR_S * 1000
POLICY_NAME = PolicyName(name="default", sha256="ab" * 32)


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def subject(kind: SubjectType, number: int, *former: int) -> Subject:
    key, *old = (f"k1-{each:032x}" for each in (number, *former))
    return Subject(type=kind, key=key, former=tuple(old))


def at_ms(at_s: float) -> int:
    return START_MS + round(at_s * 1000)


def review(at_s: float, command_id: str = "c-1") -> Review:
    return Review(command_id=command_id, actor="ann", reason="fraud", note="by phone", at_ms=at_ms(at_s))


def seen(number: int = 1, at_s: float = 0.0, *, who: int = 1, **changes: Any) -> Observation:
    """Submission `number` of person `who`; `device`, `address` and `prefix` are numbers too."""
    origin = {name: changes.pop(name) for name in ("networks", "as_expected") if name in changes}
    for kind in (SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX):
        if (which := changes.pop(str(kind), None)) is not None:
            origin[str(kind)] = subject(kind, which)
    fields = {
        "tenant": None,
        "correlation_id": guid(who),
        "submission_id": f"sub-{number}",
        "session_id": None,
        "at_ms": at_ms(at_s),
        "finding": Finding.SPOOF,
        "origin": Origin(**origin),
        **changes,
    }
    return Observation(**fields)


def series(times_s: Sequence[float], **changes: Any) -> list[Observation]:
    """Observations of numbered submissions, one at each of the times."""
    return [seen(number, at_s, **changes) for number, at_s in enumerate(times_s, start=1)]


def every(step_s: float, count: int) -> list[float]:
    return [step_s * number for number in range(count)]


def attempts(observations: Sequence[Observation]) -> tuple[Attempt, ...]:
    return attempts_from(line_of(attempt_of(each)) for each in observations)


def case(observations: Sequence[Observation], of: Observation | None = None, policy: AbusePolicy | None = None) -> Case:
    """The case of one of the observations, the last by default, when all of them are in the journals."""
    of = of or observations[-1]
    mine = {subject.type: [o for o in observations if subject in o.subjects] for subject in of.subjects}
    journals = {kind: attempts(those) for kind, those in mine.items()}
    return Case(observation=of, journals=journals, policy=policy or AbusePolicy())


def told(
    rule: str,
    observations: Sequence[Observation],
    of: Observation | None = None,
    *,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    **limits: Any,
) -> RuleResult:
    """The result of a rule after the verdict, under its default limits but for those given; `others` changes those of
    other rules and of the risk."""
    policy = AbusePolicy.model_validate({rule: limits, **(others or {})})
    return RULES[rule](getattr(policy, rule)).after_verdict(case(observations, of, policy))


class Table:
    """A ledger and an engine, used as the decide stage uses them. `recorded` are the events to publish, in order."""

    def __init__(self, policy: AbusePolicy | None = None, ledger: Ledger | None = None) -> None:
        self.policy = policy or AbusePolicy()
        self.ledger: Ledger = ledger or InMemoryLedger()
        self.engine = AbuseEngine(self.policy, POLICY_NAME)
        self.recorded: list[FlagEvent] = []

    async def see(self, *observations: Observation) -> Assessment:
        """The assessment of the last one."""
        for each in observations:
            assessment = self.engine.assess(each, await self.ledger.observe(each))
            self.recorded += await self.ledger.record(assessment.events)
        return assessment

    @property
    def names(self) -> set[tuple[str, str]]:
        """Flags and levels recorded, which no order of events may change."""
        return {(event.flag_id, event.name) for event in self.recorded}


async def expire_due(ledger: Ledger, now_ms: int) -> list[FlagEvent]:
    """Expiry events that one sweep finds."""
    found = [await expiry_of(ledger, name, now_ms) for name in await ledger.due(now_ms, MOST_AT_ONCE)]
    return [event for event in found if event is not None]
