"""The command that switches rules for a tenant, and changes its defaults of sessions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from abuse.ledger.ledger import SESSIONS, Switches
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import SwitchPlan
from config.limits.abuse import RULE_NAMES
from stream.review.kinds.base import Command, ReviewServices, StrictFields
from stream.sessions.desk import sessions_off
from stream.sessions.session_request import SessionDefaults


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
    """Rules become active or not, enforced or not, and sessions get other defaults, at once and in all workers."""

    name: ClassVar[str] = "settings.update"
    plan_codec: ClassVar = PlanCodec(SwitchPlan)

    rules: Annotated[dict[str, RuleSwitch], AfterValidator(_known_rules)] = Field(default_factory=dict)
    sessions: SessionDefaults | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.rules and (self.sessions is None or not self.sessions.given):
            raise ValueError("expected what to switch")
        return self

    @property
    def switches(self) -> Switches:
        rules = {rule: switch.model_dump(exclude_none=True) for rule, switch in self.rules.items()}
        return rules if self.sessions is None else {**rules, SESSIONS: self.sessions.given}

    async def plan(self, services: ReviewServices, at_ms: int) -> SwitchPlan:
        if self.sessions is not None and services.sessions is None:
            raise sessions_off()
        return await services.switches.plan(self.tenant, self.switches)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: SwitchPlan) -> None:
        await services.switches.apply(tenant, plan)
