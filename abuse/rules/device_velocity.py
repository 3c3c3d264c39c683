"""The rule on many correlation ids, or many submissions, of one device."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.windows import Window
from abuse.rules.base import Case, Count, Rule, RuleResult, one_per_id, over_limit
from abuse.rules.shared_address import figures
from abuse.subjects import SubjectType
from config.limits.abuse import DeviceVelocityLimits


class DeviceVelocity(Rule[DeviceVelocityLimits]):
    """The used figure is the larger share of the two limits, in ids: 5 of 5 with 5 ids or 30 submissions."""

    kind = FlagKind.DEVICE_VELOCITY

    def _after_verdict(self, case: Case) -> RuleResult:
        count = Count(
            measure=self._in_ids,
            limit=self.limits.ids,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=lambda window: {**figures(window), "submissions_limit": self.limits.submissions},
            linked=one_per_id,
        )
        return RuleResult(findings=over_limit(FlagKind.DEVICE_VELOCITY, case, SubjectType.DEVICE, count))

    def _in_ids(self, window: Window) -> float:
        by_submissions = len(window.attempts) * self.limits.ids / self.limits.submissions
        return window.ids if window.ids >= by_submissions else round(by_submissions, 2)
