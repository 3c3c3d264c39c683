"""The address is not the one, or not in the network, that the publisher expected."""

from __future__ import annotations

from abuse.flags import FlagKind, Severity
from abuse.rules.base import NOTHING, Case, Count, RiskPart, Rule, Told, over_limit
from abuse.subjects import SubjectType
from abuse.windows import keep
from config.abuse import AddressMismatchLimits


class AddressMismatch(Rule[AddressMismatchLimits]):
    kind = FlagKind.ADDRESS_MISMATCH

    def _tell(self, case: Case) -> Told:
        subject = case.subject(SubjectType.CORRELATION_ID)
        if subject is None or case.observation.origin.as_expected is not False:
            return NOTHING
        elsewhere = keep(case.attempts(SubjectType.CORRELATION_ID), lambda attempt: attempt.elsewhere)
        count = Count(
            measure=lambda window: len(window.attempts),
            limit=self.limits.mismatches,
            window_s=self.limits.window_s,
            severity=Severity.LOW,
        )
        points = case.policy.risk.address_mismatch
        return Told(
            findings=over_limit(FlagKind.ADDRESS_MISMATCH, subject, case.observation.at_ms, elsewhere, count),
            risk=(RiskPart(name="address_mismatch", points=points, detail="not the expected address or network"),),
        )
