"""The session ledger: what a decision does to the session of its submission. The port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stream.events.message.messages import Detection
from stream.events.wire.session_events import SessionEvent


class SessionLedger(Protocol):
    async def decided(self, detection: Detection, decision: bytes) -> Sequence[SessionEvent]:
        """Events to publish with the decision in force on a submission; none without a session.

        The decide stage calls this once the decision is stored. A repeat has the same effect and returns the same
        events. Raises `config.errors.Unavailable` when the store is away.
        """
