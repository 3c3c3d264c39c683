"""The way a command names a subject, and the command that erases one."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from abuse.review.erasure import ERASABLE
from abuse.review.plan_codec import PlanCodec
from abuse.review.plans import ErasurePlan
from abuse.subjects import HASHED_KEY, Subject, SubjectType
from stream.events.message.ids import canonical_guid
from stream.review.kinds.base import Command, ReviewServices, StrictFields


class SubjectReference(StrictFields):
    """A subject by its correlation id, or by its hashed key as decisions and flags show it."""

    type: Annotated[SubjectType, Field(strict=False)]
    key: Annotated[str, StringConstraints(max_length=64)]
    #: Keys the same device or address had under hash keys replaced a while ago.
    former: list[Annotated[str, StringConstraints(pattern=HASHED_KEY)]] = Field(default_factory=list, max_length=16)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.type is SubjectType.CORRELATION_ID:
            canonical_guid(self.key)
        elif not re.fullmatch(HASHED_KEY, self.key):
            raise ValueError("expected a hashed key, as decisions and flags have it")
        return self

    def subject(self) -> Subject:
        key = canonical_guid(self.key) if self.type is SubjectType.CORRELATION_ID else self.key
        return Subject(type=self.type, key=key, former=tuple(self.former))


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
