"""The rule on many submissions from one address in a short time, for any correlation ids."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.windows import window_at
from abuse.rules.base import NOTHING, Case, Count, RiskPart, Rule, RuleResult, over_limit
from abuse.rules.ip_risk import graded
from abuse.rules.shared_address import figures, is_shared
from abuse.subjects import SubjectType
from config.limits.abuse import AddressVelocityLimits


class AddressVelocity(Rule[AddressVelocityLimits]):
    kind = FlagKind.ADDRESS_VELOCITY

    def _after_verdict(self, case: Case) -> RuleResult:
        if case.subject(SubjectType.ADDRESS) is None:
            return NOTHING
        count = Count(
            limit=self.limits.submissions,
            window_s=self.limits.window_s,
            severity=Severity.LOW,
            counts=figures,
            spared=lambda window: is_shared(window, case.policy.shared_address),
        )
        return RuleResult(
            findings=over_limit(FlagKind.ADDRESS_VELOCITY, case, SubjectType.ADDRESS, count), risk=self._risk(case)
        )

    def _risk(self, case: Case) -> tuple[RiskPart, ...]:
        recent = window_at(case.observation.at_ms, case.attempts(SubjectType.ADDRESS), self.limits.window_s)
        points = graded(len(recent), self.limits.submissions, case.policy.risk.address_velocity)
        detail = f"{len(recent)} of {self.limits.submissions} submissions in {self.limits.window_s} s"
        return (RiskPart(name="address_velocity", points=points, detail=detail),)
