"""How blatant the attacks of one correlation id were: how far below the threshold, and of which species."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.journal import Attempt
from abuse.ledger.windows import Window
from abuse.observation import Finding
from abuse.rules.attack_frequency import species
from abuse.rules.base import NOTHING, Case, Count, Rule, RuleResult, over_limit
from abuse.subjects import SubjectType
from config.limits.abuse import AttackSeverityLimits


class AttackSeverity(Rule[AttackSeverityLimits]):
    kind = FlagKind.ATTACK_SEVERITY

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.finding is not Finding.SPOOF:
            return NOTHING
        count = Count(
            counted=self._is_severe,
            limit=self.limits.attacks,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=_figures,
        )
        return RuleResult(findings=over_limit(FlagKind.ATTACK_SEVERITY, case, SubjectType.CORRELATION_ID, count))

    def _is_severe(self, attempt: Attempt) -> bool:
        return attempt.finding is Finding.SPOOF and attempt.severity >= self.limits.severity


def _figures(window: Window) -> dict[str, int | float | str]:
    worst = max(attempt.severity for attempt in window.attempts)
    return {"worst_severity": worst, **species(window)}
