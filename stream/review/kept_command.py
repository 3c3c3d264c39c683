"""A command as the command log keeps it: first with its plan, then with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from abuse.review import plan_codec
from abuse.review.audit import Head

#: Topic, partition, offset and time of a record.
RecordPosition = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCommand:
    """`position` is that of the record whose plan was kept: only this record publishes what the plan brings about.

    `entry` is the audit entry before it has a place in the chain, `plan` a document of `plan_codec`, `after` the end
    of the chain when the plan was made, `answer` the entry as published, once the plan is carried out.
    """

    position: RecordPosition | None
    entry: dict[str, Any]
    plan: dict[str, Any]
    after: Head | None
    answer: str | None

    def to_bytes(self) -> bytes:
        after = {} if self.after is None else {"after": self.after}
        kept = {"record": self.position, "entry": self.entry, "plan": self.plan}
        return orjson.dumps({**kept, **after, "answer": self.answer})


def kept_from(text: bytes) -> KeptCommand:
    """Raises KeyError, TypeError or ValueError for what no worker wrote."""
    document = orjson.loads(text)
    after = document.get("after")
    return KeptCommand(
        position=document["record"],
        entry=document["entry"],
        plan=document["plan"],
        after=None if after is None else Head(**after),
        answer=document["answer"],
    )


def restored(entry: dict[str, Any], answer: bytes, told: Mapping[str, Any]) -> KeptCommand:
    """A command known from its published answer alone: carried out, and by no record of the present topics. `told`:
    what the answer tells of the plan."""
    plan = {**plan_codec.without_effect(entry["changed"]), **told}
    return KeptCommand(position=None, entry=entry, plan=plan, after=None, answer=answer.decode())
