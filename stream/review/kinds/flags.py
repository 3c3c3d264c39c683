"""Commands about flags: confirm them, override them, or begin a correlation id anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from abuse.flags.flags import FLAG_ID
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import FlagPlan
from abuse.review.reviews import FlagTarget
from stream.events.message.ids import canonical_guid
from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.events.wire.flag_output import flag_output
from stream.review.kinds.base import Command, ReviewServices
from stream.review.kinds.subjects import SubjectReference


class FlagCommand(Command):
    """The part of a command about flags that follows the plan."""

    plan_codec: ClassVar = PlanCodec(FlagPlan)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: FlagPlan) -> None:
        await services.flags.apply(tenant, plan)

    @staticmethod
    async def outputs(
        services: ReviewServices, tenant: str | None, plan: FlagPlan, topics: Mapping[Topic, str], source: str
    ) -> Sequence[Output]:
        return [flag_output(event, topics[Topic.ABUSE_FLAGS], source) for event in plan.events]


class TargetedCommand(FlagCommand):
    """A decision on one flag, or on every open flag of a subject."""

    flag_id: Annotated[str, StringConstraints(pattern=FLAG_ID)] | None = None
    subject: SubjectReference | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.flag_id is None) == (self.subject is None):
            raise ValueError("expected either flag_id or subject")
        return self

    @property
    def target(self) -> FlagTarget:
        return FlagTarget(flag_id=self.flag_id, subject=None if self.subject is None else self.subject.subject())


class ConfirmFlags(TargetedCommand):
    """The flags are right: each refuses its subject until the flag expires."""

    name: ClassVar[str] = "flag.confirm"

    async def plan(self, services: ReviewServices, at_ms: int) -> FlagPlan:
        return await services.flags.confirm(self.tenant, self.target, self.review(at_ms))


class OverrideFlags(TargetedCommand):
    """The flags are wrong: they refuse nobody, and the subject's past no longer counts."""

    name: ClassVar[str] = "flag.override"

    async def plan(self, services: ReviewServices, at_ms: int) -> FlagPlan:
        return await services.flags.override(self.tenant, self.target, self.review(at_ms))


class ResetCorrelation(FlagCommand):
    """A correlation id begins anew, under a new id too; its open flags are overridden."""

    name: ClassVar[str] = "correlation.reset"

    correlation_id: Annotated[str, AfterValidator(canonical_guid)]

    async def plan(self, services: ReviewServices, at_ms: int) -> FlagPlan:
        return await services.flags.reset(self.tenant, self.correlation_id, self.review(at_ms))
