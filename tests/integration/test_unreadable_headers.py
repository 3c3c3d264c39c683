"""A record with a header name that is not UTF-8 is decided like any other and does not stop its partition."""

from __future__ import annotations

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producer_module
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from stream.kafka_clients import producer
from stream.submissions import submission_output
from stream.topics import Topic
from tests.e2e.fixtures import MakeCrew, MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.unreadable import Unreadable

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def test_an_unreadable_header_name_stops_nothing(
    install: MakeInstallation, crew_of: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = await install(partitions=1)
    # The client's fast record builder would refuse to send such a name; its slow one asks the text to encode itself.
    for module in (message_accumulator, producer_module):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with producer(installation.settings.kafka) as client:
        for odd in (False, True, False):
            output = submission_output(submission(plain_picture()), installation.topic(Topic.SUBMISSIONS))
            headers = [*output.headers, *([(Unreadable(b"\xff\xfe"), b"x")] if odd else [])]
            await client.send_and_wait(output.topic, key=output.key, value=output.value, headers=headers)
    monkeypatch.undo()
    await crew_of(installation).start().ready()
    await installation.drained()
    decisions = await installation.records(Topic.DECISIONS)
    assert len(decisions) == 3
