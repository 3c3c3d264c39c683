"""The check of MACs before a stage: a record that no worker wrote reaches neither the stage nor the stage's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream.events.authentication.forgeries import Forgeries
from stream.events.authentication.record_mac import MacFault, RecordMacs
from stream.events.message.messages import Output, Record
from stream.kafka.agents.agents import Stage


class AuthenticStage:
    """Stage (port: `stream.kafka.agents.agents.Stage`) over another, which sees only records that are believed.

    `proven_elsewhere`: records that carry no worker's MAC but another proof, which the stage itself looks at.
    """

    def __init__(
        self,
        stage: Stage,
        macs: RecordMacs,
        forgeries: Forgeries,
        proven_elsewhere: Callable[[Record], bool] = lambda record: False,
    ) -> None:
        self._stage, self._macs, self._forgeries = stage, macs, forgeries
        self._proven_elsewhere = proven_elsewhere

    def _fault(self, record: Record) -> MacFault | None:
        return None if self._proven_elsewhere(record) else self._macs.fault(record)

    async def handle(self, record: Record) -> Sequence[Output]:
        fault = self._fault(record)
        if fault is None:
            return await self._stage.handle(record)
        return [self._forgeries.letter(record, fault, fault.words)]

    async def answer(self, record: Record) -> Sequence[Output]:
        """No answer to a forged record: the sender it names never sent it."""
        return [] if self._fault(record) else await self._stage.answer(record)
