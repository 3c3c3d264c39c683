"""Many correlation ids on one address, or on its prefix, unless the address looks shared."""

from __future__ import annotations

from abuse.flags.flags import FlagKind, RuleFinding, Severity
from abuse.ledger.windows import Window, window_at
from abuse.rules.base import Case, Count, RiskPart, Rule, RuleResult, one_per_id, over_limit
from abuse.rules.ip_risk import graded
from abuse.rules.shared_address import figures, is_shared
from abuse.subjects import SubjectType
from config.limits.abuse import ManyIdsLimits


class ManyIdsOnAddress(Rule[ManyIdsLimits]):
    kind = FlagKind.MANY_IDS_ON_ADDRESS

    def _after_verdict(self, case: Case) -> RuleResult:
        points = case.policy.risk
        address, prefix = SubjectType.ADDRESS, SubjectType.PREFIX
        return RuleResult(
            findings=(*self._found(case, address, self.limits.ids), *self._found(case, prefix, self.limits.prefix_ids)),
            risk=(
                *self._risk(case, address, self.limits.ids, points.ids_on_address),
                *self._risk(case, prefix, self.limits.prefix_ids, points.ids_on_prefix),
                *self._attacks(case),
            ),
        )

    def _found(self, case: Case, where: SubjectType, limit: int) -> tuple[RuleFinding, ...]:
        count = Count(
            measure=lambda window: window.ids,
            limit=limit,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
            counts=figures,
            linked=one_per_id,
            spared=lambda window: is_shared(window, case.policy.shared_address),
        )
        return over_limit(FlagKind.MANY_IDS_ON_ADDRESS, case, where, count)

    def _risk(self, case: Case, where: SubjectType, limit: int, points: int) -> tuple[RiskPart, ...]:
        kept = window_at(case.observation.at_ms, case.attempts(where), self.limits.window_s)
        if not kept:
            return ()
        ids = Window(kept).ids
        detail = f"{ids} of {limit} ids in {self.limits.window_s} s"
        return (RiskPart(name=f"ids_on_{where}", points=graded(ids, limit, points), detail=detail),)

    def _attacks(self, case: Case) -> tuple[RiskPart, ...]:
        """Attacks weigh by their share of what came from the address, from the second submission on."""
        kept = window_at(case.observation.at_ms, case.attempts(SubjectType.ADDRESS), self.limits.window_s)
        if len(kept) <= 1:
            return ()
        window = Window(kept)
        points = round(case.policy.risk.spoof_ratio * window.spoof_ratio)
        return (RiskPart(name="spoof_ratio", points=points, detail=f"{window.spoofs} attacks of {len(kept)}"),)
