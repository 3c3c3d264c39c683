"""Addresses on a list of networks (Tor exits, VPNs, hosting), or in a network or country named in the policy."""

from __future__ import annotations

from abuse.event_time import MS
from abuse.flags.flags import NEVER_CLEARED, Evidence, FlagKind, FlagRefusal, RefusalKind, RuleFinding, Severity
from abuse.rules.base import NOTHING, Case, RiskPart, Rule, RuleResult, rising
from abuse.subjects import SubjectType
from config.limits.abuse import DAY_S, ListedNetworkLimits

#: Names that come from a database about every address; they count only where the policy gives them points.
BY_DATABASE = ("asn-", "country-")


class ListedNetwork(Rule[ListedNetworkLimits]):
    kind = FlagKind.LISTED_NETWORK

    def _after_verdict(self, case: Case) -> RuleResult:
        names, subject = case.observation.origin.networks, case.subject(SubjectType.ADDRESS)
        points = {name: self._points(name) for name in names}
        if subject is None or not any(points.values()):
            return NOTHING
        highest = max(points.values())
        detail = ", ".join(name for name, worth in points.items() if worth)
        risk = (RiskPart(name="listed_network", points=highest, detail=detail),)
        at_ms = case.observation.at_ms
        if highest < self.limits.flag_from or self._accepted(case, at_ms):
            return RuleResult(risk=risk)
        finding = RuleFinding(
            kind=FlagKind.LISTED_NETWORK,
            subject=subject,
            severities=rising(Severity.LOW, 1),
            first_ms=at_ms,
            at_ms=at_ms,
            evidence=Evidence(used=highest, limit=self.limits.flag_from, window_s=0, counts=points),
            refusal=FlagRefusal(kind=RefusalKind.BLOCKED, from_ms=at_ms, until_ms=at_ms + DAY_S * MS),
        )
        return RuleResult(findings=(finding,), risk=risk)

    def _accepted(self, case: Case, at_ms: int) -> bool:
        """A reviewer has said that this address is all right: it will be on the list tomorrow as well, so for as
        long as the flag would have lived it isn't raised again."""
        cleared_ms = case.cleared_ms.get(SubjectType.ADDRESS, NEVER_CLEARED)
        return cleared_ms > NEVER_CLEARED and at_ms < cleared_ms + case.policy.flag_ttl_s * MS

    def _points(self, name: str) -> int:
        unnamed = 0 if name.startswith(BY_DATABASE) else self.limits.other_points
        return self.limits.points.get(name, unnamed)
