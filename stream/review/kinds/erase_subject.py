"""The command that erases a subject."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from abuse.review.erasure import ERASABLE
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import ErasurePlan
from stream.review.kinds.base import Command, ReviewServices
from stream.review.kinds.subject_reference import SubjectReference


def _erasable(reference: SubjectReference) -> SubjectReference:
    if reference.type not in ERASABLE:
        raise ValueError("expected a correlation id, a device, an address or a prefix")
    return reference


class EraseSubject(Command):
    """The erasure of a subject; the answer is a receipt that names nothing of the subject."""

    name: ClassVar[str] = "subject.erase"
    plan_codec: ClassVar = PlanCodec(ErasurePlan)
    key_is_private: ClassVar[bool] = True

    subject: Annotated[SubjectReference, AfterValidator(_erasable)]

    async def plan(self, services: ReviewServices, at_ms: int) -> ErasurePlan:
        return await services.erasures.plan(self.tenant, self.subject.subject(), at_ms)

    @staticmethod
    async def apply(services: ReviewServices, tenant: str | None, plan: ErasurePlan) -> None:
        if plan.erases is not None:
            await services.erasures.carry_out(tenant, plan.erases)
