"""Rules: the base class, asked before a submission is analysed and again after its verdict.

A rule is a value without state. `before_analysis` and `after_verdict` are the same for every rule and honour its
switches; a rule fills in `_after_verdict`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Generic, TypeVar

from abuse.event_time import MS
from abuse.flags.flags import (
    BUCKET_MS,
    HIGHEST_LEVEL,
    Evidence,
    Flag,
    FlagKind,
    FlagRefusal,
    FlagState,
    Linked,
    RefusalKind,
    RuleFinding,
    Severity,
)
from abuse.ledger.journal import Attempt
from abuse.ledger.windows import Window, keep, windows_with
from abuse.links.large_clusters import LargeCluster
from abuse.links.links import NO_CLUSTER, Cluster
from abuse.observation import Observation
from abuse.subjects import Subject, SubjectType
from config.limits.abuse import AbusePolicy, RuleLimits

#: Submissions named in the evidence of one flag, the newest; the counts say how many there are.
MOST_LINKED = 20
_SEVERITIES = tuple(Severity)

L = TypeVar("L", bound=RuleLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An observation with its subjects' attempts, the observation's included, in order of event time.

    `cluster`: submissions with the same face or picture; `large`: of these kinds the observation joined a large
    cluster, of which nothing more is read. `flags`: those already there, in any state. `cleared_ms`: when
    a reviewer last cleared a subject; journals begin after that time. `senders`: with how many devices, addresses and
    prefixes the correlation id was used within a day, as far as counted.
    """

    observation: Observation
    journals: Mapping[SubjectType, Sequence[Attempt]]
    policy: AbusePolicy
    flags: Mapping[SubjectType, Sequence[Flag]] = field(default_factory=dict)
    cluster: Cluster = NO_CLUSTER
    large: Mapping[FlagKind, LargeCluster] = field(default_factory=dict)
    cleared_ms: Mapping[SubjectType, int] = field(default_factory=dict)
    senders: Mapping[SubjectType, int] = field(default_factory=dict)

    def attempts(self, kind: SubjectType) -> Sequence[Attempt]:
        return self.journals.get(kind, ())

    def subject(self, kind: SubjectType) -> Subject | None:
        return next((subject for subject in self.observation.subjects if subject.type is kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPart:
    """Points of IP risk and where they come from; a negative part lowers the risk."""

    name: str
    points: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """A rule's result for a case: findings to raise flags for, and points of IP risk."""

    findings: tuple[RuleFinding, ...] = ()
    risk: tuple[RiskPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHit:
    """A flag on a subject of the submission. A hit of a shadow rule is recorded with its reasons and refuses nobody."""

    flag: Flag
    refusal: FlagRefusal
    enforced: bool


NOTHING = RuleResult()


@dataclass(frozen=True, slots=True)
class Rule(ABC, Generic[L]):
    """A rule under its limits. `kind` names the rule; a rule that raises no flags has none."""

    limits: L
    kind: ClassVar[FlagKind | None] = None

    def before_analysis(self, flags: Iterable[Flag], at_ms: int) -> tuple[RuleHit, ...]:
        """The hits of this rule's flags on the submission's subjects at `at_ms`. A flag is a hit as long as its refusal
        runs. A confirmed flag is enforced whatever the switches say."""
        hits = []
        for flag in flags:
            refusal = flag.refusal_at(at_ms) if flag.kind is self.kind and flag.open_at(at_ms) else None
            if refusal is not None and (self.limits.active or flag.state is FlagState.CONFIRMED):
                hits.append(RuleHit(flag=flag, refusal=refusal, enforced=self.enforces(flag)))
        return tuple(hits)

    def after_verdict(self, case: Case) -> RuleResult:
        """The rule's result for the observation and its subjects' histories."""
        return self._after_verdict(case) if self.limits.active else NOTHING

    def enforces(self, flag: Flag) -> bool:
        """Whether a flag of this rule refuses its subject under the rule's switches."""
        return (self.limits.active and self.limits.enforced) or flag.state is FlagState.CONFIRMED

    def _after_verdict(self, case: Case) -> RuleResult:
        return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A rule's way of counting: the measure of a window, its limit, and the severity at the limit.

    `counted`: the attempts that count. The measure is their number unless the rule says otherwise. `counts` are further
    figures for the evidence, `linked` the attempts named in the evidence; a `spared` window is no finding however full.
    """

    limit: float
    window_s: int
    severity: Severity
    counted: Callable[[Attempt], bool] = field(default=lambda attempt: True)
    measure: Callable[[Window], float] = field(default=lambda window: len(window.attempts))
    counts: Callable[[Window], Mapping[str, int | float | str]] = field(default=lambda window: {})
    linked: Callable[[Window], Sequence[Attempt]] = field(default=lambda window: window.attempts)
    spared: Callable[[Window], bool] = field(default=lambda window: False)


def over_limit(kind: FlagKind, case: Case, about: SubjectType, count: Count) -> tuple[RuleFinding, ...]:
    """Findings about the case's subject of that type: one for each day on which a window with the observation reached
    the limit, about the fullest window. Whether the observation itself gives reason to look is for the rule to say.

    Twice the limit is one level higher and one severity more, four times two. Where the rule is enforced, the
    subject is refused until the window has passed, and no less than the day.
    """
    subject = case.subject(about)
    if subject is None:
        return ()
    attempts = keep(case.attempts(about), count.counted)
    return tuple(
        finding_of(kind, subject, window, count, evidence_of(used, window, count, linked(count.linked(window))))
        for used, window in fullest_windows(case.observation.at_ms, attempts, count)
    )


def fullest_windows(at_ms: int, attempts: Sequence[Attempt], count: Count) -> tuple[tuple[float, Window], ...]:
    """Of each day's windows with the attempt at `at_ms` that reached the limit, the fullest, and how full it is."""
    fullest: dict[int, tuple[float, Window]] = {}
    for window in windows_with(at_ms, attempts, count.window_s):
        used, day = count.measure(window), window.end_ms // BUCKET_MS
        if used >= count.limit and not count.spared(window) and (day not in fullest or used > fullest[day][0]):
            fullest[day] = (used, window)
    return tuple(fullest.values())


def evidence_of(used: float, window: Window, count: Count, shown: tuple[Linked, ...]) -> Evidence:
    counts = count.counts(window)
    return Evidence(used=used, limit=count.limit, window_s=count.window_s, counts=counts, linked=shown)


def finding_of(
    kind: FlagKind,
    subject: Subject,
    window: Window,
    count: Count,
    evidence: Evidence,
    highest: int = HIGHEST_LEVEL,
) -> RuleFinding:
    return RuleFinding(
        kind=kind,
        subject=subject,
        severities=rising(count.severity, levels(evidence.used, count.limit, highest)),
        first_ms=window.attempts[0].at_ms,
        at_ms=window.end_ms,
        evidence=evidence,
        refusal=block_after(window, count),
    )


def block_after(window: Window, count: Count) -> FlagRefusal:
    """The refusal of a window's flag, at least to the end of the day: a flag is raised once a day, and with a shorter
    refusal the rest of the day would be free."""
    end_ms = window.end_ms
    until_ms = max(end_ms + count.window_s * MS, (end_ms // BUCKET_MS + 1) * BUCKET_MS)
    return FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=end_ms, until_ms=until_ms)


@lru_cache(256)
def levels(used: float, limit: float, highest: int = HIGHEST_LEVEL) -> int:
    """1 at the limit, one more each time it is doubled, up to `highest`."""
    level = 1
    while level < highest and used >= limit * 2**level:
        level += 1
    return level


@lru_cache(256)
def rising(severity: Severity, count: int) -> tuple[Severity, ...]:
    first = _SEVERITIES.index(severity)
    return tuple(_SEVERITIES[min(first + step, len(_SEVERITIES) - 1)] for step in range(count))


def linked(attempts: Sequence[Attempt]) -> tuple[Linked, ...]:
    """The newest attempts as evidence, oldest first."""
    return tuple(
        as_linked(each, f"{each.finding} ({each.species})" if each.species else str(each.finding))
        for each in attempts[-MOST_LINKED:]
    )


def as_linked(attempt: Attempt, why: str) -> Linked:
    return Linked(
        correlation_id=attempt.correlation_id,
        session_id=attempt.session_id,
        submission_id=attempt.submission_id,
        at_ms=attempt.at_ms,
        why=why,
    )


def one_per_id(window: Window) -> Sequence[Attempt]:
    """The newest attempt of each correlation id, in order."""
    newest = {attempt.correlation_id: attempt for attempt in window.attempts}
    return sorted(newest.values(), key=lambda attempt: (attempt.at_ms, attempt.submission_id))
