"""The way a command names a subject."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from abuse.subjects import HASHED_KEY, Subject, SubjectType
from stream.events.message.ids import canonical_guid
from stream.review.kinds.base import StrictFields


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
