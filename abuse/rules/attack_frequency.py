"""How often one correlation id was seen to attack."""

from __future__ import annotations

from collections import Counter

from abuse.flags import FlagKind, Severity
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, Told, over_limit
from abuse.subjects import SubjectType
from abuse.windows import Window, keep
from config.abuse import AttackFrequencyLimits


class AttackFrequency(Rule[AttackFrequencyLimits]):
    kind = FlagKind.ATTACK_FREQUENCY

    def _tell(self, case: Case) -> Told:
        subject = case.subject(SubjectType.CORRELATION_ID)
        if subject is None or case.observation.finding is not Finding.SPOOF:
            return NOTHING
        attacks = keep(case.attempts(SubjectType.CORRELATION_ID), lambda a: a.finding is Finding.SPOOF)
        count = Count(
            measure=lambda window: len(window.attempts),
            limit=self.limits.attacks,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=species,
        )
        return Told(findings=over_limit(FlagKind.ATTACK_FREQUENCY, subject, case.observation.at_ms, attacks, count))


def species(window: Window) -> dict[str, int]:
    """Attacks by what gave them away."""
    return dict(sorted(Counter(attempt.species or "unnamed" for attempt in window.attempts).items()))
