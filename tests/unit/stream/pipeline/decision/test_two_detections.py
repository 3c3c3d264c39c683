"""Two detections of one submission: read again after a crash, it may be refused at the gate meanwhile."""

from __future__ import annotations

import asyncio

from abuse.ledger.ledger import InMemoryLedger, Snapshot
from abuse.observation import Observation
from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Refusal
from stream.pipeline.decision_store import InMemoryDecisionStore
from tests.unit.stream.builders import detection, ids
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.abuse_cases import event_of

REFUSED = Refusal(error=ErrorCode.SUBJECT_PAUSED, message="paused", counts=False)


class SlowLedger(InMemoryLedger):
    """Ledger that answers an observation when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def observe(self, observation: Observation) -> Snapshot:
        known = await super().observe(observation)
        await self.go_on.wait()
        return known


async def test_detections_are_decided_in_their_order() -> None:
    """The attempt that the journals count is the one that the decision tells of."""
    ledger = SlowLedger()
    stage = Pipeline(ledger=ledger, store=InMemoryDecisionStore()).decide_stage
    analysed = asyncio.create_task(stage.decide(detection()))
    refused = asyncio.create_task(stage.decide(detection(REFUSED)))
    await asyncio.sleep(0.01)
    other = await stage.decide(detection(REFUSED, ids=ids(submission_id="another")))
    assert not refused.done(), "other submissions don't wait"
    ledger.go_on.set()
    first, second = await analysed, await refused
    assert first.decision == second.decision != other.decision
    assert event_of(stage._outputs(first)[0])["abuse"]["observation"] is not None
    assert len(stage.submissions) == 0
