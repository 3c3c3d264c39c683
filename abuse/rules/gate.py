"""The gate: may a submission of these subjects be analysed now?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abuse.ledger.ledger import SESSIONS, Ledger
from abuse.rules.base import RuleHit
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """The gate's answer. `hits`: rule hits of the submission; the first is enforced if any is. `active`: names of the
    tenant's active rules. `needs_session`: the tenant asks for a session token with every submission."""

    hits: tuple[RuleHit, ...]
    active: frozenset[str]
    needs_session: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    ledger: Ledger
    engine: AbuseEngine

    async def ask(self, tenant: str | None, subjects: Sequence[Subject], submission_id: str, at_ms: int) -> GateAnswer:
        """The rule hits of a submission that came in at `at_ms` (event time). Admission calls this.

        One round trip; may be repeated. Raises `config.errors.Unavailable` when the table is away.
        """
        known = await self.ledger.read_heads(tenant, subjects)
        return GateAnswer(
            hits=self.engine.hits(known, submission_id, at_ms),
            active=self.engine.active(known.switches),
            needs_session=known.switches.get(SESSIONS, {}).get("required") is True,
        )
