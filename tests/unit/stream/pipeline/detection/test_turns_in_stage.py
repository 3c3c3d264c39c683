"""Fair turns in the detect stage: who has a turn when, and what waiting for it costs."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Output, Record, Refusal
from stream.events.wire.detection_codec import decode_detection
from tests.unit.stream.builders import GUID, IMAGE, OTHER_IMAGE, analysis, bare, base64_of
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.runtime.virtual_time import on_virtual_time

#: Longer than a few of them may take together: the policy's `deadlines.event_s` is 25 s.
EACH_S = 8.0
FLOOD = 20


async def slow() -> Any:
    await asyncio.sleep(EACH_S)
    return analysis()


def new(**fields: Any) -> Record:
    return bare(**{"submission_id": str(uuid.uuid4()), "correlation_id": str(uuid.uuid4()), **fields})


@pytest.mark.parametrize("common", [{"tenant": "flood"}, {"correlation_id": GUID}, {"device_id": "phone-1"}])
@on_virtual_time
async def test_bystander_beside_flood(common: dict[str, str]) -> None:
    """The bystander comes last. Nobody of the flood runs out of time either, however long the others take."""
    pipeline = Pipeline(FakeAnalyser(slow))
    flood = [asyncio.create_task(pipeline.detect(new(**common))) for _ in range(FLOOD)]
    await asyncio.sleep(1)
    other = asyncio.create_task(pipeline.detect(new(image=base64_of(OTHER_IMAGE), tenant="other")))
    outputs: list[list[Output]] = await asyncio.gather(*flood, other)
    at = pipeline.analyser.pictures.index(OTHER_IMAGE)
    assert at <= 4, "places are two slots and two read ahead"
    assert pipeline.analyser.pictures.count(IMAGE) == FLOOD
    findings = [decode_detection(each.value or b"").finding for output in outputs for each in output]
    assert findings == [(analysis(),)] * (FLOOD + 1)


@on_virtual_time
async def test_refused_record_takes_no_turn() -> None:
    """An answer to a record that needs no slot waits for none."""
    pipeline = Pipeline(FakeAnalyser(slow))
    flood = [asyncio.create_task(pipeline.detect(new())) for _ in range(FLOOD)]
    await asyncio.sleep(1)
    async with asyncio.timeout(1):
        (output,) = await pipeline.detect(new(image="%"))
    finding = decode_detection(output.value or b"").finding
    assert isinstance(finding, Refusal)
    assert finding.error is ErrorCode.INVALID_REQUEST
    for task in flood:
        task.cancel()
