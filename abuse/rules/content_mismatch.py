"""Other content under a used submission id: somebody tries to exchange a picture that was decided on."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, RuleResult, over_limit
from abuse.subjects import SubjectType
from config.limits.abuse import ContentMismatchLimits


class ContentMismatch(Rule[ContentMismatchLimits]):
    kind = FlagKind.CONTENT_MISMATCH

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.finding is not Finding.MISMATCH:
            return NOTHING
        count = Count(
            counted=lambda attempt: attempt.finding is Finding.MISMATCH,
            limit=self.limits.mismatches,
            window_s=self.limits.window_s,
            severity=Severity.LOW,
        )
        return RuleResult(findings=over_limit(FlagKind.CONTENT_MISMATCH, case, SubjectType.CORRELATION_ID, count))
