"""How blatant the attacks of one correlation id were: how far below the threshold, and of which species."""

from __future__ import annotations

from abuse.flags import FlagKind, Severity
from abuse.journal import Attempt
from abuse.observation import Finding
from abuse.rules.attack_frequency import species
from abuse.rules.base import NOTHING, Case, Count, Rule, Told, over_limit
from abuse.subjects import SubjectType
from abuse.windows import Window, keep
from config.abuse import AttackSeverityLimits


class AttackSeverity(Rule[AttackSeverityLimits]):
    kind = FlagKind.ATTACK_SEVERITY

    def _tell(self, case: Case) -> Told:
        subject = case.subject(SubjectType.CORRELATION_ID)
        if subject is None or case.observation.finding is not Finding.SPOOF:
            return NOTHING
        severe = keep(case.attempts(SubjectType.CORRELATION_ID), self._is_severe)
        count = Count(
            measure=lambda window: len(window.attempts),
            limit=self.limits.attacks,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=_figures,
        )
        return Told(findings=over_limit(FlagKind.ATTACK_SEVERITY, subject, case.observation.at_ms, severe, count))

    def _is_severe(self, attempt: Attempt) -> bool:
        return attempt.finding is Finding.SPOOF and attempt.severity >= self.limits.severity


def _figures(window: Window) -> dict[str, int | float | str]:
    worst = max(attempt.severity for attempt in window.attempts)
    return {"worst_severity": worst, **species(window)}
