"""The gate: may a submission of these subjects be analysed now?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abuse.ledger.ledger import Ledger
from abuse.rules.base import RuleHit
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """`objections`: everything that stands against the submission; the first is enforced if any is. `active`: the
    tenant's rules that look at anything."""

    objections: tuple[RuleHit, ...]
    active: frozenset[str]


@dataclass(frozen=True, slots=True)
class Gate:
    ledger: Ledger
    engine: AbuseEngine

    async def ask(self, tenant: str | None, subjects: Sequence[Subject], submission_id: str, at_ms: int) -> GateAnswer:
        """May the submission that came in at `at_ms` (event time) be analysed, and what is anybody to make of it?

        One round trip. Raises `config.errors.Unavailable` when the table is away: whoever asks waits.
        """
        known = await self.ledger.read_history(tenant, subjects)
        return GateAnswer(
            objections=self.engine.objections(known, submission_id, at_ms), active=self.engine.active(known.switches)
        )
