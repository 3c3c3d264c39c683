"""Histories that one reuse search reads, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from abuse.ledger.ledger import Ledger, SubjectHistory
from abuse.subjects import correlation


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoriesRead:
    """Histories by correlation id, with the heads of their flags. `cause`: the submission that searches."""

    ledger: Ledger
    tenant: str | None
    cause: str
    known: dict[str, SubjectHistory] = field(default_factory=dict)

    async def read(self, ids: Iterable[str]) -> None:
        """The histories of these ids, known from now on. One round trip, none where all are known. Raises
        `config.errors.Unavailable`."""
        wanted = sorted({*ids} - self.known.keys())
        if wanted:
            read = await self.ledger.read_heads(self.tenant, list(map(correlation, wanted)), self.cause)
            self.known.update({history.subject.key: history for history in read.histories})

    @property
    def unlinked_ms(self) -> Mapping[str, int]:
        """Up to when a reviewer cleared each id's links."""
        return {name: history.unlinked_at_ms for name, history in self.known.items()}

    def besides(self, correlation_id: str) -> tuple[SubjectHistory, ...]:
        """The histories of all but this id."""
        return tuple(history for name, history in self.known.items() if name != correlation_id)
