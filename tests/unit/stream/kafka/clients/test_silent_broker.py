"""A broker that falls silent amid a command: said within a time, where the client library waits without end."""

from __future__ import annotations

import asyncio

import pytest

from config.groups.services import KafkaSettings
from stream.events.message.messages import Output
from stream.kafka.clients import clients
from stream.kafka.clients.clients import CLOSE_TIMEOUT_S, SEND_TIMEOUT_S, KafkaUnreachable, producer, send
from tests.unit.stream.runtime.virtual_time import on_virtual_time


class SilentProducer:
    """Producer whose broker confirms nothing, neither while sending nor at the end."""

    def __init__(self, **_: object) -> None:
        self.closing = False

    async def start(self) -> None: ...

    async def send_and_wait(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.closing = True
        await asyncio.Event().wait()


@on_virtual_time
async def test_unconfirmed_record_is_said() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "AIOKafkaProducer", SilentProducer)
        began = asyncio.get_running_loop().time()
        with pytest.raises(KafkaUnreachable, match=r"submissions: no Kafka broker confirmed .* may be written or not"):
            async with producer(KafkaSettings()) as client:
                await send(client, Output(topic="submissions", key=b"k", value=b"v", headers=()))
        assert asyncio.get_running_loop().time() - began == pytest.approx(SEND_TIMEOUT_S + CLOSE_TIMEOUT_S)
        assert client.closing
