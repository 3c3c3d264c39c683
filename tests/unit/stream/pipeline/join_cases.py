"""Parts of submissions for tests of the join: frames one by one, and results of detector groups."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from config.policy import Policy
from detectors.contract import ReadingStatus
from stream.events.message.messages import Detection, Output, Record
from stream.events.message.session_terms import FramePart
from stream.events.wire.detection_codec import detection_output
from stream.events.wire.detection_part import DetectionPart, GroupReading, content_digest, encode_part
from stream.maintenance.join_sweeper import JoinSweeper
from stream.pipeline.decision_store import InMemoryDecisionStore
from stream.pipeline.join.pending import InMemoryPendingDetections, PendingDetections
from tests.unit.stream.builders import analysis, detection, ids, record
from tests.unit.stream.fakes import Pipeline

COUNT = 8
PART_TYPE = ("ce_type", b"liveness.detection-part.v1")
DEPTH = Policy.model_validate({"groups": {"depth": {"least": 0.6, "attack": 0.3}}})


class Sent:
    """Publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    async def publish(self, outputs: Sequence[Output]) -> None:
        self.outputs += outputs


class Fleet:
    """Workers over one store and one set of pending detections, and a sweep of the first."""

    def __init__(self, policy: Policy | None = None, pending: PendingDetections | None = None) -> None:
        self.pending = pending or InMemoryPendingDetections()
        self.store = InMemoryDecisionStore()
        self.policy = policy or Policy()
        self.workers = [self.worker() for _ in range(2)]
        self.sent = Sent()

    def worker(self) -> Pipeline:
        return Pipeline(store=self.store, policy=self.policy, pending=self.pending)

    async def give(self, given: Record, worker: int = 0) -> list[Output]:
        return list(await self.workers[worker].decide_stage.handle(given))

    async def sweep(self, after_s: float = 3600) -> list[Output]:
        """Outputs of a sweep so long after the first part."""
        first = self.workers[0]
        first.time.at_ms += round(after_s * 1000)
        before = len(self.sent.outputs)
        await JoinSweeper(stage=first.decide_stage, publisher=self.sent, name="one").sweep()  # type: ignore[arg-type]
        return self.sent.outputs[before:]


def frame(index: int, liveness: float | None = 0.9, *, mark: str = "", **changes: Any) -> Detection:
    """Detection of one of eight frames; `mark` makes it another picture in the same place."""
    fingerprint = hashlib.sha256(f"{index}{mark}".encode()).hexdigest()[:32]
    fields = {
        "finding": None if liveness is None else analysis(liveness),
        "fingerprint": fingerprint,
        "part": FramePart(frame_index=index, frame_count=COUNT),
        "pixels": (fingerprint,),
        **changes,
    }
    made = detection(**fields)
    return replace(made, appended_at_ms=made.appended_at_ms + index)


def sent(given: Detection) -> Record:
    output = detection_output(given, "liveness.detections", "/test")
    return replace(record(output.value, output.headers, output.key), topic="liveness.detections")


def group_reading(liveness: float | None = 0.9, name: str = "flatness", **changes: Any) -> GroupReading:
    status = ReadingStatus.FAILED if liveness is None else ReadingStatus.SCORED
    fields = {"name": name, "label": "Depth of the face", "reason": "", "detail": "measured", **changes}
    return GroupReading(status=status, liveness=liveness or 0.0, **fields)


def group_part(*readings: GroupReading, image: str = "ab" * 32, **changes: Any) -> DetectionPart:
    fields: dict[str, Any] = {
        "version": 1,
        "group": "depth",
        "ids": ids(),
        "part": None,
        "image_sha256": (image,),
        "readings": readings or (group_reading(),),
        "models": (),
        **changes,
    }
    return DetectionPart(**fields)


def sent_by_group(part: DetectionPart) -> Record:
    return replace(record(encode_part(part), (PART_TYPE,), b"key"), topic="liveness.detections")


def selfie(liveness: float = 0.9, *, image: str = "ab" * 32, **changes: Any) -> Detection:
    """Detection of a whole submission, in an installation with detector groups."""
    return detection(analysis(liveness), content=content_digest(ids(), (image,)), **changes)


def event(output: Output) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(output.value or b"")
    return found
