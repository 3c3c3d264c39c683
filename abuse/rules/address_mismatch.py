"""The address is not the one, or not in the network, that the publisher expected."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.journal import Attempt
from abuse.rules.base import NOTHING, Case, Count, RiskPart, Rule, RuleResult
from abuse.rules.counted import too_many
from config.abuse import AddressMismatchLimits


class AddressMismatch(Rule[AddressMismatchLimits]):
    kind = FlagKind.ADDRESS_MISMATCH

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.observation.origin.as_expected is not False:
            return NOTHING
        count = Count(limit=self.limits.mismatches, window_s=self.limits.window_s, severity=Severity.LOW)
        points = case.policy.risk.address_mismatch
        return RuleResult(
            findings=too_many(FlagKind.ADDRESS_MISMATCH, case, _is_elsewhere, count),
            risk=(RiskPart(name="address_mismatch", points=points, detail="not the expected address or network"),),
        )


def _is_elsewhere(attempt: Attempt) -> bool:
    return attempt.elsewhere
