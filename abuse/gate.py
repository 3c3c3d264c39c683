"""The gate: may a submission of these subjects be analysed now?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abuse.engine import AbuseEngine
from abuse.ledger import Ledger
from abuse.rules.base import Objection
from abuse.subjects import Subject


@dataclass(frozen=True, slots=True)
class Gate:
    ledger: Ledger
    engine: AbuseEngine

    async def objections(
        self, tenant: str | None, subjects: Sequence[Subject], submission_id: str, at_ms: int
    ) -> tuple[Objection, ...]:
        """Everything that stands against a submission at `at_ms` (event time); the first is enforced if any is.

        One round trip. Raises `stream.patience.Unavailable` when the table is away: whoever asks waits.
        """
        return self.engine.objections(await self.ledger.look(tenant, subjects), submission_id, at_ms)
