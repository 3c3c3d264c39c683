"""An agent's runner over records whose work ends when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

from config.errors import Unavailable
from config.groups.processing import DeliverySettings
from stream.events.message.messages import Output, Record
from stream.events.wire.dead_letter import DeadLetters
from stream.kafka.agents.agents import AgentRunner, AgentSpec
from stream.kafka.agents.breaker import Breaker
from stream.kafka.agents.publishing import Publisher
from stream.kafka.consumer.acks import InOrderAcks, Partition
from stream.runtime.patience import RetryPolicy

TOPIC = "flags"
P0, P1 = (TOPIC, 0), (TOPIC, 1)
PATIENCE_S = 120


class Scene:
    def __init__(self, *hooks: Any, limit: int = 16, letters_away: bool = False, **limits: Any) -> None:
        """`hooks`: the caution and the trial of the runner."""
        self.acked: dict[int, list[int]] = {0: [], 1: []}
        self.failures: list[BaseException] = []
        self.working: dict[tuple[int, int], asyncio.Future[Sequence[Output]]] = {}
        self.begun: list[tuple[int, int]] = []
        self.letters_away = letters_away
        self.generation = 1
        self.acks = InOrderAcks(lambda: self.generation)
        letters = DeadLetters(topic="letters", max_bytes=1000)
        self.spec = AgentSpec(name="test", topic=TOPIC, stage=self, dead_letters=letters, limit=limit, **limits)
        self.sent: list[Output] = []
        publisher = Publisher(self._send, RetryPolicy(), at_most_s=PATIENCE_S)
        ends = (lambda: None, self.failures.append)
        self.runner = AgentRunner(self.spec, self.acks, publisher, Breaker(DeliverySettings()), *ends, *hooks)
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.create_task(self.runner.run(self._stream()))

    async def handle(self, record: Record) -> Sequence[Output]:
        place = (record.partition, record.offset)
        self.begun.append(place)
        self.working[place] = asyncio.get_running_loop().create_future()
        try:
            return await self.working[place]
        finally:
            del self.working[place]

    async def answer(self, _record: Record) -> Sequence[Output]:
        return []

    async def _send(self, output: Output) -> None:
        if self.letters_away:
            raise Unavailable("kafka", "Away")
        self.sent.append(output)

    async def _stream(self) -> AsyncIterator[Any]:
        while True:
            yield await self._events.get()

    async def put(self, offsets: range, partition: int = 0) -> list[Event]:
        events = [Event(self.acked[partition], partition, offset, self.generation) for offset in offsets]
        for event in events:
            self._events.put_nowait(event)
        await asyncio.sleep(1)
        return events

    async def end(self, *offsets: int, partition: int = 0, outputs: Sequence[Output] = ()) -> None:
        for offset in offsets:
            self.working[(partition, offset)].set_result(outputs)
        await asyncio.sleep(1)

    def hand_over(self, *partitions: Partition) -> int:
        """As the worker does where it doesn't wait for the work."""
        dropped = self.runner.drop(partitions)
        self.acks.revoke(partitions)
        return dropped


class Event:
    """Faust's event of a record; acknowledged offsets go to `acked`."""

    def __init__(self, acked: list[int], partition: int, offset: int, generation: int, topic: str = TOPIC) -> None:
        self.acked = acked
        place: dict[str, Any] = {"topic": topic, "partition": partition, "offset": offset, "generation_id": generation}
        self.message: Any = SimpleNamespace(**place, timestamp=1.0, timestamp_type=1, key=b"k", value=b"v", headers=[])

    def ack(self) -> bool:
        self.acked.append(self.message.offset)
        return True
