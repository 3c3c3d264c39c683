"""Too many tries by one correlation id: a pause after a few failures or many attempts, a block after a few pauses."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from abuse.event_time import MS
from abuse.flags.flags import (
    BUCKET_MS,
    NEVER_CLEARED,
    Evidence,
    FlagKind,
    FlagRefusal,
    RefusalKind,
    RuleFinding,
    Severity,
)
from abuse.ledger.journal import KEPT, PAST_NO_GATE, Attempt
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Rule, RuleResult, linked
from abuse.rules.constant_id import is_constant
from abuse.subjects import Subject, SubjectType
from config.limits.abuse import RetryLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause from the attempt that was one too many; `earned_by` are the attempts that counted, as far as the journal
    remembers them."""

    start_ms: int
    end_ms: int
    earned_by: tuple[Attempt, ...]
    limit: int = 0
    window_s: int = 0
    unit: str = ""

    @property
    def begun_ms(self) -> int:
        return self.earned_by[0].at_ms if self.earned_by else self.start_ms


class ExcessiveRetries(Rule[RetryLimits]):
    """Level 1 is a pause, each further pause of a day one level more; the last of them is a block."""

    kind = FlagKind.EXCESSIVE_RETRIES

    def _after_verdict(self, case: Case) -> RuleResult:
        """An attempt can bring about the pause it completes, or, when it came late, one after it; none before."""
        subject = case.subject(SubjectType.CORRELATION_ID)
        if is_constant(case):
            return NOTHING
        earned = pauses(case.attempts(SubjectType.CORRELATION_ID), self.limits)
        if subject is None or not earned:
            return NOTHING
        before = forgotten(case, earned[0])
        highest: dict[int, RuleFinding] = {}
        for index, pause in enumerate(earned):
            if pause.start_ms < case.observation.at_ms:
                continue
            day = pause.start_ms // BUCKET_MS
            finding = self._finding(subject, self._recent([*before, *earned[: index + 1]]))
            if day not in highest or len(finding.severities) >= len(highest[day].severities):
                highest[day] = finding
        return RuleResult(findings=tuple(highest.values()))

    def _recent(self, earned: Sequence[Pause]) -> Sequence[Pause]:
        """The last pause and those of the window before it, no more than make a block."""
        since = earned[-1].start_ms - self.limits.pause_window_s * MS
        return [pause for pause in earned if pause.start_ms > since][-self.limits.pauses :]

    def _finding(self, subject: Subject, recent: Sequence[Pause]) -> RuleFinding:
        last, blocked = recent[-1], len(recent) == self.limits.pauses
        severities = [Severity.MEDIUM] * len(recent)
        if blocked:
            severities[-1] = Severity.HIGH
        length_s = self.limits.block_s if blocked else self.limits.pause_s
        return RuleFinding(
            kind=FlagKind.EXCESSIVE_RETRIES,
            subject=subject,
            severities=tuple(severities),
            first_ms=recent[0].begun_ms,
            at_ms=last.start_ms,
            evidence=Evidence(
                used=len(last.earned_by),
                limit=last.limit,
                window_s=last.window_s,
                counts={"unit": last.unit, "pauses": len(recent), "pauses_limit": self.limits.pauses},
                linked=linked([attempt for pause in recent for attempt in pause.earned_by]),
            ),
            refusal=FlagRefusal(
                kind=RefusalKind.BLOCKED if blocked else RefusalKind.PAUSED,
                from_ms=last.start_ms,
                until_ms=last.start_ms + length_s * MS,
            ),
        )


def pauses(attempts: Sequence[Attempt], limits: RetryLimits) -> list[Pause]:
    """Every pause the attempts earned. Those made during a pause (already under way when it began) don't count,
    and counting begins afresh after one.

    Taking the earliest pause each time gives the most pauses there can be, so a late attempt never takes one away.
    """
    found: list[Pause] = []
    failures = _Counter(limits.failures, limits.failure_window_s)
    tries = _Counter(limits.attempts, limits.attempt_window_s)
    for attempt in attempts:
        if found and attempt.at_ms < found[-1].end_ms:
            continue
        tries.add(attempt)
        if attempt.finding is Finding.SPOOF:
            failures.add(attempt)
        for counter, unit in ((failures, "failures"), (tries, "attempts")):
            if counter.full:
                found.append(_pause(attempt, counter, unit, limits))
                failures.attempts.clear()
                tries.attempts.clear()
                break
    return found


def forgotten(case: Case, first: Pause) -> list[Pause]:
    """Pauses before the first that the journal knows of, by their flags: a sender of so much that the journal forgets
    how a pause was earned doesn't get rid of the pause."""
    attempts = [a for a in case.attempts(SubjectType.CORRELATION_ID) if a.finding not in PAST_NO_GATE]
    if len(attempts) < KEPT[SubjectType.CORRELATION_ID]:
        return []
    since_ms = case.cleared_ms.get(SubjectType.CORRELATION_ID, NEVER_CLEARED)
    told = sorted(
        (refusal.from_ms, refusal.until_ms)
        for flag in case.flags.get(SubjectType.CORRELATION_ID, ())
        if flag.kind is FlagKind.EXCESSIVE_RETRIES
        for refusal in flag.refusals
        if refusal.kind is RefusalKind.PAUSED and since_ms < refusal.from_ms and refusal.until_ms <= first.start_ms
    )
    return [Pause(start_ms=from_ms, end_ms=end_ms, earned_by=()) for from_ms, end_ms in told]


class _Counter:
    """The attempts of one sliding window."""

    def __init__(self, limit: int, window_s: int) -> None:
        self.limit, self.window_s = limit, window_s
        self.attempts: deque[Attempt] = deque()

    @property
    def full(self) -> bool:
        return len(self.attempts) >= self.limit

    def add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        while self.attempts[0].at_ms <= attempt.at_ms - self.window_s * MS:
            self.attempts.popleft()


def _pause(attempt: Attempt, counter: _Counter, unit: str, limits: RetryLimits) -> Pause:
    return Pause(
        start_ms=attempt.at_ms,
        end_ms=attempt.at_ms + limits.pause_s * MS,
        earned_by=tuple(counter.attempts),
        limit=counter.limit,
        window_s=counter.window_s,
        unit=unit,
    )
