"""Rule switches: a rule made active or not, enforced or not, for one tenant."""

from __future__ import annotations

from dataclasses import dataclass

from abuse.ledger.ledger import Ledger, Switches
from abuse.review.plans import SwitchPlan
from abuse.review.refusals import CommandErrorCode, CommandRefused


@dataclass(frozen=True, slots=True)
class RuleSwitches:
    """The switches in the table. Calls raise `stream.runtime.patience.Unavailable` when the table is away; each may be
    repeated."""

    ledger: Ledger

    async def plan(self, tenant: str | None, wanted: Switches) -> SwitchPlan:
        """The change that leads to the `wanted` switches; writes nothing. Raises CommandRefused if there is none."""
        before = await self.ledger.switches(tenant)
        after = merged(before, wanted)
        if after == before:
            raise CommandRefused(CommandErrorCode.NOTHING_TO_CHANGE, "the rules are switched like this already")
        return SwitchPlan(changed={"before": before, "after": after}, switches=wanted)

    async def apply(self, tenant: str | None, plan: SwitchPlan) -> None:
        held = await self.ledger.switches(tenant)
        await self.ledger.switch(tenant, merged(held, plan.switches))


def merged(held: Switches, wanted: Switches) -> Switches:
    """The switches that are held, but for those wanted otherwise."""
    both = {rule: {**held.get(rule, {}), **wanted.get(rule, {})} for rule in sorted({*held, *wanted})}
    return {rule: on for rule, on in both.items() if on}
