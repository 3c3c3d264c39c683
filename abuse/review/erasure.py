"""The erasure of a subject from every store, and a receipt that names nothing of what was erased.

Everything is counted first, the counts are stored with the plan, then it is removed: after a crash the removal is
carried out again with the same effect, and the receipt still says what was there. Keys that lead to the rest (a
subject's own sets) go last.

The receipt has a hash of the subject (`digest_of`): a reader who knows the subject finds its receipt, not the other way
round. `abuse.review.erased` reads receipts, so that a rebuilt table stays without what was erased.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

import orjson

from abuse.event_time import iso8601
from abuse.flags.flag_events import document_of
from abuse.flags.mentions import names, without
from abuse.ledger.journal import attempt_from
from abuse.ledger.ledger import InMemoryLedger
from abuse.links.large_clusters import LargeClusters
from abuse.links.link_store import LinkStore
from abuse.review.plans import ErasurePlan
from abuse.subjects import Subject, SubjectType

#: The types of subject that anything is stored of.
ERASABLE = frozenset({SubjectType.CORRELATION_ID, SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX})


#: Counts that every receipt has; those of other stores only where they hold something.
ALWAYS_COUNTED = ("links", "faces", "pictures", "decisions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Counts of a subject's traces in the abuse table: lines in its own and others' journals, its flags, and events of
    others' flags that name it as evidence."""

    journal_lines: int = 0
    flags: int = 0
    mentions: int = 0


class LedgerErasure(Protocol):
    """The erasure's view of the ledger. Calls raise `config.errors.Unavailable` when the table is away; each may be
    repeated."""

    async def held(self, tenant: str | None, subject: Subject) -> Traces:
        """The amount held; writes nothing."""

    async def erase(self, tenant: str | None, subject: Subject) -> None:
        """Remove all traces. No expiry of the removed flags is published."""


class Erasable(Protocol):
    """A store with records of a correlation id. Calls raise `config.errors.Unavailable` when the store is away; each
    may be repeated."""

    async def held(self, tenant: str | None, correlation_id: str) -> int:
        """The amount held; writes nothing."""

    async def forget(self, tenant: str | None, correlation_id: str) -> int:
        """Remove the correlation id's records; return their number."""


class KeptDecisions(Erasable, Protocol):
    async def unlink(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> None:
        """Take the correlation id out of the decisions kept for others that were linked to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures:
    """Erasures over all stores. `by_id`: stores with records of a correlation id, by the name under which a receipt
    counts what these hold, in the order of their erasure. `beyond`: stores that keep what they hold, and for how many
    milliseconds; None for ever. `links_ms`: how long a correlation id's links are kept after the last of them."""

    ledger: LedgerErasure
    links: LinkStore
    large: LargeClusters
    decisions: KeptDecisions
    by_id: Mapping[str, Erasable]
    links_ms: int
    beyond: Mapping[str, int | None] = field(default_factory=dict)

    async def plan(self, tenant: str | None, subject: Subject, at_ms: int) -> ErasurePlan:
        """The erasure of a subject with its receipt; writes nothing."""
        traces = await self.ledger.held(tenant, subject)
        counts = dict.fromkeys(ALWAYS_COUNTED, 0)
        if subject.type is SubjectType.CORRELATION_ID:
            name = subject.key
            counts["links"] = len((await self.links.of(tenant, [name]))[name])
            counts["decisions"] = await self.decisions.held(tenant, name)
            held = await asyncio.gather(*(store.held(tenant, name) for store in self.by_id.values()))
            counts |= {each: number for each, number in zip(self.by_id, held, strict=True) if number}
        digests = [digest_of(tenant, subject.type, key) for key in subject.keys]
        changed = {
            "subject": {"type": str(subject.type), "sha256": digests},
            "erased": {**asdict(traces), **counts},
            "kept": self._kept(at_ms, subject),
        }
        return ErasurePlan(changed=changed, erases=subject)

    async def carry_out(self, tenant: str | None, subject: Subject) -> None:
        """Remove the subject; may be repeated. Links go last: they lead to the others that name the subject."""
        if subject.type is not SubjectType.CORRELATION_ID:
            await self.ledger.erase(tenant, subject)
            return
        name = subject.key
        links = (await self.links.of(tenant, [name]))[name]
        others = sorted({end for link in links for end in link.ids} - {name})
        for store in self.by_id.values():
            await store.forget(tenant, name)
        await self.decisions.unlink(tenant, name, others)
        await self.decisions.forget(tenant, name)
        # Newcomers find the lead no more before the lead's flags go, and once more after: one may have come meanwhile.
        await self.large.forget(tenant, name)
        await self.ledger.erase(tenant, subject)
        await self.links.forget(tenant, name, others)
        await self.large.forget(tenant, name)

    def _kept(self, at_ms: int, subject: Subject) -> list[dict[str, str | None]]:
        """Stores in which the subject may be found all the same, and until when."""
        lives = dict(self.beyond)
        if subject.type is SubjectType.CORRELATION_ID:
            # Nothing leads to links that only the other end still holds. They stay until a link so much newer is added,
            # or so long after the last link.
            lives["links that only others keep"] = 2 * self.links_ms
        return [
            {"store": store, "until": None if life_ms is None else iso8601(at_ms + life_ms)}
            for store, life_ms in lives.items()
        ]


def digest_of(tenant: str | None, kind: SubjectType, key: str) -> str:
    return hashlib.sha256(orjson.dumps([tenant, kind, key])).hexdigest()


class InMemoryLedgerErasure:
    """The erasure from a ledger in memory, which looks everywhere."""

    def __init__(self, ledger: InMemoryLedger) -> None:
        self._ledger = ledger

    async def held(self, tenant: str | None, subject: Subject) -> Traces:
        lines = [line for found in self._lines(tenant, subject).values() for line in found]
        mentions = self._mentions(tenant, subject)
        return Traces(journal_lines=len(lines), flags=len(self._flag_ids(tenant, subject)), mentions=len(mentions))

    async def erase(self, tenant: str | None, subject: Subject) -> None:
        table = self._ledger
        ids = self._flag_ids(tenant, subject)
        table.erased |= ids
        for part, lines in self._lines(tenant, subject).items():
            table.journals[part] -= lines
            if not table.journals[part]:
                del table.journals[part]
        for key, name in self._mentions(tenant, subject):
            cause, _, document = table.fields[key][name].partition(" ")
            table.fields[key][name] = f"{cause} {without(document.encode(), subject.key).decode()}"
        for flag_id in ids:
            table.locators.pop(flag_id, None)
            table.due_at.pop(flag_id, None)
        table.index.remove(ids)
        for key in self._own(tenant, subject):
            table.fields.pop(key, None)

    @staticmethod
    def _own(tenant: str | None, subject: Subject) -> list[tuple[str, SubjectType, str]]:
        return [(tenant or "", subject.type, key) for key in subject.keys]

    def _lines(self, tenant: str | None, subject: Subject) -> dict[tuple[tuple[str, SubjectType, str], int], set[str]]:
        own, named = self._own(tenant, subject), subject.type is SubjectType.CORRELATION_ID
        found = {}
        for (key, part), lines in self._ledger.journals.items():
            if key in own:
                found[key, part] = set(lines)
            elif named and key[0] == (tenant or ""):
                found[key, part] = {line for line in lines if attempt_from(line).correlation_id == subject.key}
        return {place: lines for place, lines in found.items() if lines}

    def _flag_ids(self, tenant: str | None, subject: Subject) -> set[str]:
        return {
            name.partition(" ")[0]
            for key in self._own(tenant, subject)
            for name in self._ledger.fields.get(key, {})
            if name.startswith("fl_")
        }

    def _mentions(self, tenant: str | None, subject: Subject) -> list[tuple[tuple[str, SubjectType, str], str]]:
        own = self._own(tenant, subject)
        return [
            (key, name)
            for key, fields in self._ledger.fields.items()
            if subject.type is SubjectType.CORRELATION_ID and key not in own and key[0] == (tenant or "")
            for name, text in fields.items()
            if name.startswith("fl_") and names(document_of(text), subject.key)
        ]
