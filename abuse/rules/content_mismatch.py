"""Other content under a used submission id: somebody tries to exchange a picture that was decided on."""

from __future__ import annotations

from abuse.flags import FlagKind, Severity
from abuse.observation import Finding
from abuse.rules.base import NOTHING, Case, Count, Rule, Told, over_limit
from abuse.subjects import SubjectType
from abuse.windows import keep
from config.abuse import ContentMismatchLimits


class ContentMismatch(Rule[ContentMismatchLimits]):
    kind = FlagKind.CONTENT_MISMATCH

    def _tell(self, case: Case) -> Told:
        subject = case.subject(SubjectType.CORRELATION_ID)
        if subject is None or case.observation.finding is not Finding.MISMATCH:
            return NOTHING
        others = keep(case.attempts(SubjectType.CORRELATION_ID), lambda a: a.finding is Finding.MISMATCH)
        count = Count(
            measure=lambda window: len(window.attempts),
            limit=self.limits.mismatches,
            window_s=self.limits.window_s,
            severity=Severity.LOW,
        )
        return Told(findings=over_limit(FlagKind.CONTENT_MISMATCH, subject, case.observation.at_ms, others, count))
