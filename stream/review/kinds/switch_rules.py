"""The command that switches rules for a tenant."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from abuse.ledger.ledger import Switches
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import SwitchPlan
from config.abuse import RULE_NAMES
from stream.review.kinds.base import Command, ReviewServices, StrictFields


class RuleSwitch(StrictFields):
    active: bool | None = None
    enforced: bool | None = None


def _known_rules(rules: dict[str, RuleSwitch]) -> dict[str, RuleSwitch]:
    if not rules or not set(rules) <= set(RULE_NAMES):
        raise ValueError("expected names of rules")
    if not all(switch.model_dump(exclude_none=True) for switch in rules.values()):
        raise ValueError("expected what to switch")
    return rules


class SwitchRules(Command):
    """Rules become active or not, enforced or not, at once and in all workers."""

    name: ClassVar[str] = "settings.update"
    plan_codec: ClassVar = PlanCodec(SwitchPlan)

    rules: Annotated[dict[str, RuleSwitch], AfterValidator(_known_rules)]

    @property
    def switches(self) -> Switches:
        return {rule: switch.model_dump(exclude_none=True) for rule, switch in self.rules.items()}

    async def plan(self, services: ReviewServices, at_ms: int) -> SwitchPlan:
        return await services.switches.plan(self.tenant, self.switches)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: SwitchPlan) -> None:
        await services.switches.apply(tenant, plan)
