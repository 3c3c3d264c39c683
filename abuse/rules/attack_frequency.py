"""How often one correlation id was seen to attack."""

from __future__ import annotations

from collections import Counter

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.journal import Attempt
from abuse.ledger.windows import Window
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, RuleResult
from abuse.rules.counted import too_many
from config.abuse import AttackFrequencyLimits


class AttackFrequency(Rule[AttackFrequencyLimits]):
    kind = FlagKind.ATTACK_FREQUENCY

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.finding is not Finding.SPOOF:
            return NOTHING
        count = Count(
            limit=self.limits.attacks, window_s=self.limits.window_s, severity=Severity.MEDIUM, counts=species
        )
        return RuleResult(findings=too_many(FlagKind.ATTACK_FREQUENCY, case, _is_attack, count))


def _is_attack(attempt: Attempt) -> bool:
    return attempt.finding is Finding.SPOOF


def species(window: Window) -> dict[str, int]:
    """Attacks by what gave them away."""
    return dict(sorted(Counter(attempt.species or "unnamed" for attempt in window.attempts).items()))
