"""Constant correlation ids, one for many people: the publisher's fault, and no reason to refuse everybody."""

from __future__ import annotations

from abuse.event_time import DAY_MS, MS
from abuse.flags.flags import BUCKET_MS, Evidence, FlagKind, FlagRefusal, RefusalKind, RuleFinding, Severity
from abuse.rules.base import NOTHING, Case, Rule, RuleResult, levels, linked, rising
from abuse.subjects import SubjectType
from config.limits.abuse import ConstantIdLimits


class ConstantId(Rule[ConstantIdLimits]):
    kind = FlagKind.CONSTANT_ID

    def _after_verdict(self, case: Case) -> RuleResult:
        subject, used = case.subject(SubjectType.CORRELATION_ID), senders(case)
        if subject is None or used < self.limits.senders:
            return NOTHING
        at_ms, attempts = case.observation.at_ms, case.attempts(SubjectType.CORRELATION_ID)
        end_of_day_ms = (at_ms // BUCKET_MS + 1) * BUCKET_MS
        evidence = Evidence(
            used=used,
            limit=self.limits.senders,
            window_s=DAY_MS // MS,
            counts={"fault": "publisher", **{f"{kind}s": number for kind, number in _by_kind(case).items()}},
            linked=linked(attempts),
        )
        finding = RuleFinding(
            kind=FlagKind.CONSTANT_ID,
            subject=subject,
            severities=rising(Severity.MEDIUM, levels(used, self.limits.senders)),
            first_ms=min((attempt.at_ms for attempt in attempts), default=at_ms),
            at_ms=at_ms,
            evidence=evidence,
            refusal=FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at_ms, until_ms=end_of_day_ms),
        )
        return RuleResult(findings=(finding,))


def is_constant(case: Case) -> bool:
    """Whether so many use the correlation id that the id stands for nobody."""
    limits = case.policy.constant_id
    return limits.active and senders(case) >= limits.senders


def senders(case: Case) -> int:
    """Senders of the correlation id within a day: devices or prefixes, whichever are fewer where both are sent, so that
    made-up device ids of one attacker are not taken for many people."""
    return min(_by_kind(case).values(), default=0)


def _by_kind(case: Case) -> dict[str, int]:
    kinds = (SubjectType.DEVICE, SubjectType.PREFIX)
    return {str(kind): case.senders.get(kind, 0) for kind in kinds if case.subject(kind) is not None}
