"""Other content under a used submission id: somebody tries to exchange a picture that was decided on."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.journal import Attempt
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, RuleResult
from abuse.rules.counted import too_many
from config.abuse import ContentMismatchLimits


class ContentMismatch(Rule[ContentMismatchLimits]):
    kind = FlagKind.CONTENT_MISMATCH

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.finding is not Finding.MISMATCH:
            return NOTHING
        count = Count(limit=self.limits.mismatches, window_s=self.limits.window_s, severity=Severity.LOW)
        return RuleResult(findings=too_many(FlagKind.CONTENT_MISMATCH, case, _is_mismatch, count))


def _is_mismatch(attempt: Attempt) -> bool:
    return attempt.finding is Finding.MISMATCH
