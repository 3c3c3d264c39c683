"""Commands of every kind and outcome, what each brings about, and the file that holds the same from before.

`python -m tests.unit.stream.review.golden_cases` writes the file anew: only when a published document is meant to
change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from abuse.flags.flags import FlagKind
from abuse.links.links import Link, LinkKind
from abuse.review.audit import CommandKey, InMemoryCommandLog
from abuse.subjects import SubjectType
from abuse.submission_ref import SubmissionRef
from stream.events.message.messages import Output, Record
from tests.unit.abuse.builders import DAY_S, at_ms, guid, seen, subject
from tests.unit.stream.builders import SECRET
from tests.unit.stream.review.command_cases import (
    FLAG_ID,
    ME,
    OTHER,
    Reviewer,
    about,
    flag_events,
    flagged,
    record,
    sent,
)

GOLDEN = Path(__file__).parent / "golden_commands.jsonl"
ADDRESS = subject(SubjectType.ADDRESS, 1)
SHADOW = {"device_velocity": {"enforced": False}}

Prepare = Callable[[Reviewer], Awaitable[Any]]


async def nothing(reviewer: Reviewer) -> None:
    pass


async def three_flags(reviewer: Reviewer) -> None:
    for kind in (FlagKind.EXCESSIVE_RETRIES, FlagKind.ATTACK_FREQUENCY, FlagKind.ATTACK_SEVERITY):
        await flagged(reviewer.ledger, kind, level=2)


async def tenants_flag(reviewer: Reviewer) -> None:
    await flagged(reviewer.ledger, tenant="acme")


async def address_flag(reviewer: Reviewer) -> None:
    await flagged(reviewer.ledger, FlagKind.ADDRESS_VELOCITY, subject=ADDRESS)


async def expired_flag(reviewer: Reviewer) -> None:
    await flagged(reviewer.ledger, ttl_s=60)


async def confirmed_flag(reviewer: Reviewer) -> None:
    await reviewer.obey(sent("flag.confirm", command_id="before", flag_id=await flagged(reviewer.ledger), at_s=500))


async def overridden_flag(reviewer: Reviewer) -> None:
    await reviewer.obey(sent("flag.override", command_id="before", flag_id=await flagged(reviewer.ledger), at_s=500))


async def switched(reviewer: Reviewer) -> None:
    await reviewer.ledger.switch(None, {"attack_severity": {"active": False}, **SHADOW})


async def one_face(reviewer: Reviewer) -> None:
    """Two correlation ids that share a face, each flagged with the other's submission as evidence."""
    ends = [
        SubmissionRef(at_ms=at_ms(n), submission_id=f"of-{n}", correlation_id=who.key)
        for n, who in enumerate((ME, OTHER))
    ]
    await reviewer.links.write(None, [Link(kind=LinkKind.FACE, earlier=ends[0], later=ends[1], distance=0.3)])
    for who, other in ((ME, ends[1]), (OTHER, ends[0])):
        (event,) = flag_events(FlagKind.FACE_REUSE, subject=who)
        document = orjson.loads(event.document)
        ids = {"correlation_id": other.correlation_id, "session": None, "submission": other.submission_id}
        why = {"when": document["timestamp"], "why": f"same face at 0.300: {other.submission_id}"}
        document["evidence"]["linked"] = [ids | why]
        await reviewer.ledger.record([replace(event, document=orjson.dumps(document))])


async def much_to_erase(reviewer: Reviewer) -> None:
    await one_face(reviewer)
    await reviewer.ledger.observe(seen(1, who=1, at_s=0, device=1))


@dataclass(frozen=True, slots=True)
class Case:
    """A table as it is before, and the command."""

    given: Record
    prepare: Prepare = nothing


FLAG = flag_events()[0].flag_id
TENANTS_FLAG = flag_events(tenant="acme")[0].flag_id
WORDS = {"actor": f"{SECRET} Ann", "reason": SECRET, "note": f"{SECRET}\n", "tenant": f" {SECRET}"}
DEVICE = {**about(subject(SubjectType.DEVICE, 1)), "former": [subject(SubjectType.DEVICE, 8).key]}

CASES: dict[str, Case] = {
    "confirm a flag": Case(
        sent("flag.confirm", flag_id=TENANTS_FLAG, tenant="acme", note="print, tw\u00efce"), tenants_flag
    ),
    "confirm a subject": Case(sent("flag.confirm", subject=about(ME)), three_flags),
    "confirm a face": Case(sent("flag.confirm", subject=about(ME)), one_face),
    "override a flag": Case(sent("flag.override", flag_id=flag_events(level=2)[0].flag_id), three_flags),
    "override a subject": Case(sent("flag.override", subject=about(ME)), three_flags),
    "override a face": Case(sent("flag.override", subject=about(ME)), one_face),
    "override an address": Case(sent("flag.override", subject=about(ADDRESS)), address_flag),
    "override a confirmed flag": Case(sent("flag.override", flag_id=FLAG), confirmed_flag),
    "reset": Case(sent("correlation.reset", correlation_id=ME.key.upper(), at_s=3 * DAY_S), three_flags),
    "reset without flags": Case(sent("correlation.reset", correlation_id=guid(77), tenant="acme")),
    "switch": Case(
        sent("settings.update", rules={"device_velocity": {"enforced": True}, "face_reuse": {"active": False}}),
        switched,
    ),
    "erase a correlation id": Case(sent("subject.erase", subject=about(ME)), much_to_erase),
    "erase a device": Case(sent("subject.erase", subject=DEVICE), much_to_erase),
    "erase what is not there": Case(sent("subject.erase", subject=about(OTHER), tenant="acme"), much_to_erase),
    "confirm what is confirmed": Case(sent("flag.confirm", flag_id=FLAG), confirmed_flag),
    "confirm what is overridden": Case(sent("flag.confirm", flag_id=FLAG), overridden_flag),
    "confirm what has expired": Case(sent("flag.confirm", flag_id=flag_events(ttl_s=60)[0].flag_id), expired_flag),
    "confirm an unknown flag": Case(sent("flag.confirm", flag_id=FLAG_ID)),
    "confirm another tenant's flag": Case(sent("flag.confirm", flag_id=TENANTS_FLAG), tenants_flag),
    "override a subject without flags": Case(sent("flag.override", subject=about(OTHER)), three_flags),
    "switch to what is switched": Case(sent("settings.update", rules=SHADOW), switched),
    "an unknown command": Case(sent("flag.erase", **WORDS)),
    "a review of nothing": Case(sent("flag.confirm", note="by phone", tenant="acme")),
    "an unknown field": Case(sent("correlation.reset", correlation_id=guid(1), **{SECRET: 1}, actor="a b")),
    "rules nobody knows": Case(sent("settings.update", rules={SECRET: {"active": True}})),
    "an erasure of a face": Case(sent("subject.erase", subject=about(subject(SubjectType.FACE, 1)))),
    "a huge key": Case(replace(sent("correlation.reset", correlation_id=guid(1)), key=b"k" * 257)),
    "no command": Case(record(SECRET.encode())),
}


class Recording(InMemoryCommandLog):
    """A command log that goes on behind another one, and every text that was kept first, in order."""

    def __init__(self, before: Any) -> None:
        super().__init__()
        self.kept |= before.kept
        self.texts: list[str] = []

    async def put_if_absent(self, key: CommandKey, text: bytes) -> bytes:
        self.texts.append(text.decode())
        return await super().put_if_absent(key, text)


async def prepared(case: Case) -> Reviewer:
    reviewer = Reviewer()
    await case.prepare(reviewer)
    return reviewer


async def brought_about(case: Case) -> dict[str, Any]:
    """Outputs, the plan that is kept before anything is done, and a digest of the table afterwards."""
    reviewer = await prepared(case)
    reviewer.log = log = Recording(reviewer.log)
    outputs = await reviewer.obey(case.given)
    return {"planned": log.texts[0] if log.texts else None, **after(reviewer, outputs)}


def after(reviewer: Reviewer, outputs: list[Output]) -> dict[str, Any]:
    table = hashlib.sha256(orjson.dumps({name: value.decode() for name, value in reviewer.table.items()}))
    return {"outputs": [readable(output) for output in outputs], "table_sha256": table.hexdigest()}


def readable(output: Output) -> dict[str, Any]:
    headers = [[name, value.decode()] for name, value in output.headers]
    key, value = (output.key or b"").decode(), (output.value or b"").decode()
    return {"topic": output.topic, "key": key, "value": value, "headers": headers}


async def _main() -> None:
    found = [orjson.dumps({"case": name, **await brought_about(case)}) for name, case in CASES.items()]
    GOLDEN.write_bytes(b"\n".join(found) + b"\n")


def golden() -> dict[str, dict[str, Any]]:
    """The effect of each case when the file was written."""
    return {line.pop("case"): line for line in map(orjson.loads, GOLDEN.read_bytes().splitlines())}


if __name__ == "__main__":
    import asyncio

    asyncio.run(_main())
