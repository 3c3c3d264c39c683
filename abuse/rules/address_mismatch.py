"""The address is not the one, or not in the network, that the publisher expected."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.rules.base import NOTHING, Case, Count, RiskPart, Rule, RuleResult, over_limit
from abuse.subjects import SubjectType
from config.limits.abuse import AddressMismatchLimits


class AddressMismatch(Rule[AddressMismatchLimits]):
    kind = FlagKind.ADDRESS_MISMATCH

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.origin.as_expected is not False:
            return NOTHING
        count = Count(
            counted=lambda attempt: attempt.elsewhere,
            limit=self.limits.mismatches,
            window_s=self.limits.window_s,
            severity=Severity.LOW,
        )
        points = case.policy.risk.address_mismatch
        return RuleResult(
            findings=over_limit(FlagKind.ADDRESS_MISMATCH, case, SubjectType.CORRELATION_ID, count),
            risk=(RiskPart(name="address_mismatch", points=points, detail="not the expected address or network"),),
        )
