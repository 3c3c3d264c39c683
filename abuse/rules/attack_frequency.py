"""How often one correlation id was seen to attack."""

from __future__ import annotations

from collections import Counter

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.windows import Window
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, RuleResult, over_limit
from abuse.subjects import SubjectType
from config.limits.abuse import AttackFrequencyLimits


class AttackFrequency(Rule[AttackFrequencyLimits]):
    kind = FlagKind.ATTACK_FREQUENCY

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.finding is not Finding.SPOOF:
            return NOTHING
        count = Count(
            counted=lambda attempt: attempt.finding is Finding.SPOOF,
            limit=self.limits.attacks,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=species,
        )
        return RuleResult(findings=over_limit(FlagKind.ATTACK_FREQUENCY, case, SubjectType.CORRELATION_ID, count))


def species(window: Window) -> dict[str, int]:
    """Attacks by what gave them away."""
    return dict(sorted(Counter(attempt.species or "unnamed" for attempt in window.attempts).items()))
