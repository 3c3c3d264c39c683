"""The broker's answers to a send: waited on, mended by a new client, or the end of the worker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from faust.exceptions import ProducerSendError

from config.errors import SettingsError, Unavailable
from stream.events.message.messages import Output
from stream.kafka.consumer.app import ConfirmedSender

OUTPUT = Output(topic="decisions", key=b"k", value=b"v", headers=())


class App:
    """App whose producer answers every send with an error; `replaced`: clients that were put out of service."""

    def __init__(self, error: Exception) -> None:
        self.error, self.replaced = error, list[object]()
        self._producer = SimpleNamespace()

    async def maybe_start_producer(self) -> Any:
        return self

    async def send(self, *_: object) -> Any:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(self.error)
        return failed

    async def replace(self, client: object) -> None:
        self.replaced.append(client)


def raised_by(cause: Exception) -> ProducerSendError:
    error = ProducerSendError("send")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("answer", "raised", "replaced"),
    [
        (errors.NotLeaderForPartitionError(), Unavailable, False),
        (errors.UnknownTopicOrPartitionError(), Unavailable, False),
        (TimeoutError(), Unavailable, False),
        (errors.OutOfOrderSequenceNumber(), Unavailable, True),
        (errors.ProducerFenced(), Unavailable, True),
        (errors.UnknownProducerId(), Unavailable, True),
        (errors.TopicAuthorizationFailedError(), SettingsError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize("wrap", [True, False])
async def test_answers(answer: Exception, raised: type[Exception], replaced: bool, wrap: bool) -> None:
    app: Any = App(raised_by(answer) if wrap else answer)
    with pytest.raises(raised):
        await ConfirmedSender(app, timeout_s=1)(OUTPUT)
    assert app.replaced == ([app._producer] if replaced else [])


async def test_unconfirmed_says_what_and_where():
    with pytest.raises(Unavailable, match=r"kafka: decisions not confirmed within 1 s; .*disks"):
        await ConfirmedSender(App(TimeoutError()), timeout_s=1)(OUTPUT)  # type: ignore[arg-type]


@pytest.mark.parametrize(("by_client", "raised"), [(True, ProducerSendError), (False, Unavailable)])
async def test_too_large(by_client: bool, raised: type[Exception]) -> None:
    """The client's limit is ours and doesn't change; the topic's is an operator's to mend."""
    error = errors.MessageSizeTooLargeError()
    app: Any = App(raised_by(error) if by_client else error)
    with pytest.raises(raised):
        await ConfirmedSender(app, timeout_s=1)(OUTPUT)
