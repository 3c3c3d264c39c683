"""The check of MACs before a stage: a record that no worker wrote reaches neither the stage nor the stage's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream.events.authentication.forgeries import Forgeries
from stream.events.authentication.record_mac import MacFault, RecordMacs
from stream.events.message.messages import Output, Record
from stream.kafka.agents.agents import Stage


@dataclass(frozen=True, slots=True)
class AuthenticStage:
    """Stage (port: `stream.kafka.agents.agents.Stage`) over another, which sees only records that are believed.

    `proven_elsewhere`: records that carry no worker's MAC but another proof, which the stage itself looks at.
    """

    stage: Stage
    macs: RecordMacs
    forgeries: Forgeries
    proven_elsewhere: Callable[[Record], bool] = lambda record: False

    def _fault(self, record: Record) -> MacFault | None:
        return None if self.proven_elsewhere(record) else self.macs.fault(record)

    async def handle(self, record: Record) -> Sequence[Output]:
        fault = self._fault(record)
        if fault is None:
            return await self.stage.handle(record)
        return [self.forgeries.letter(record, fault, fault.words)]

    async def answer(self, record: Record) -> Sequence[Output]:
        """No answer to a forged record: the sender it names never sent it."""
        return [] if self._fault(record) else await self.stage.answer(record)
