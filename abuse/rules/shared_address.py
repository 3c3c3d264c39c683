"""An address that people share (carrier NAT, an office): many ids and few attacks. It lowers the risk, flags nobody."""

from __future__ import annotations

import math

from abuse.ledger.windows import Window, window_at
from abuse.rules.base import NOTHING, Case, RiskPart, Rule, RuleResult
from abuse.subjects import SubjectType
from config.limits.abuse import SharedAddressLimits

#: Fewer SPOOF verdicts than this say nothing about an address: people fail too.
TELLING_SPOOFS = 3
#: Of the normal distribution, two-sided 95 %.
Z = 1.96


class SharedAddress(Rule[SharedAddressLimits]):
    def _after_verdict(self, case: Case) -> RuleResult:
        kept = window_at(case.observation.at_ms, case.attempts(SubjectType.ADDRESS), self.limits.window_s)
        if not kept or not is_shared(Window(kept), self.limits):
            return NOTHING
        window = Window(kept)
        detail = f"{window.ids} ids, {window.spoof_ratio:.0%} of {len(kept)} submissions are attacks"
        return RuleResult(
            risk=(RiskPart(name="shared_address", points=-case.policy.risk.shared_address, detail=detail),)
        )


def is_shared(window: Window, limits: SharedAddressLimits) -> bool:
    """Whether the window of an address or prefix looks shared.

    The share of attacks is looked at with every submission, so chance alone would take it over any limit now and then:
    only a share that is surely higher counts.
    """
    few = window.spoofs < TELLING_SPOOFS or surely(window.spoofs, len(window.attempts)) < limits.spoof_ratio
    return limits.active and few and window.ids >= limits.ids


def surely(found: int, of: int) -> float:
    """The share that is surely there: the lower end of Wilson's 95 % score interval (E. B. Wilson, 1927)."""
    share, spread = found / of, Z * Z / of
    return (share + spread / 2 - Z * math.sqrt((share * (1 - share) + spread / 4) / of)) / (1 + spread)


def figures(window: Window) -> dict[str, int | float | str]:
    """Further figures for the evidence about an address or a device."""
    return {
        "submissions": len(window.attempts),
        "correlation_ids": window.ids,
        "attacks": window.spoofs,
        "spoof_ratio": round(window.spoof_ratio, 3),
    }
