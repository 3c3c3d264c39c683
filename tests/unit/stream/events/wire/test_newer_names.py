"""Detections of a newer release: names that this one does not know are left out, and everything else stays strict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from detectors import analysis_codec
from stream.events.wire.detection_codec import DetectionError, decode_detection
from tests.unit.stream.builders import bare
from tests.unit.stream.events.wire.codec_cases import GOLDEN
from tests.unit.stream.fakes import Pipeline

NEWER = {
    "readings": {"name": "pulse", "label": "Pulse", "status": "scored", "liveness": 1.0, "reason": "", "detail": "d"},
    "indications": {"code": "depth_missing", "detail": "d"},
}
NAME = {"readings": "name", "indications": "code"}


def wire(part: str, item: dict[str, Any]) -> bytes:
    """Golden detection with one more reading or indication."""
    given = orjson.loads((GOLDEN / "detection-one_frame.json").read_bytes())
    given["analysis"].setdefault(part, []).append(item)
    return orjson.dumps(given)


@pytest.mark.parametrize("part", NEWER)
def test_left_out_and_named(part: str) -> None:
    newer = set[str]()
    found = decode_detection(wire(part, NEWER[part]), newer)
    assert found == decode_detection((GOLDEN / "detection-one_frame.json").read_bytes())
    assert newer == {NEWER[part][NAME[part]]}


def test_in_one_of_several_frames() -> None:
    golden = (GOLDEN / "detection-several_frames.json").read_bytes()
    given = orjson.loads(golden)
    given["analyses"][1]["readings"].append(NEWER["readings"])
    newer = set[str]()
    assert decode_detection(orjson.dumps(given), newer) == decode_detection(golden)
    assert newer == {"pulse"}


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("readings", {"liveness": 1.5}),
        ("readings", {"liveness": None}),
        ("readings", {"status": "felt"}),
        ("readings", {"status": "failed"}),  # with a liveness
        ("readings", {"name": "with space"}),
        ("readings", {"name": "x" * 81}),
        ("readings", {"detail": "two\nlines"}),
        ("readings", {"colour": "green"}),
        ("indications", {"detail": 5}),
        ("indications", {"code": ""}),
        ("indications", {"weight": 2}),
    ],
)
def test_the_rest_stays_strict(part: str, changes: dict[str, Any]) -> None:
    """A name nobody knows excuses nothing else about an item."""
    with pytest.raises(DetectionError):
        decode_detection(wire(part, NEWER[part] | changes))


def test_too_many_are_refused() -> None:
    given = orjson.loads(wire("readings", NEWER["readings"]))
    given["analysis"]["readings"] += [NEWER["readings"]] * 64
    with pytest.raises(DetectionError):
        decode_detection(orjson.dumps(given))


def test_a_slot_is_of_this_release() -> None:
    given = orjson.loads((GOLDEN / "analysis-full.json").read_bytes())
    given["readings"].append(NEWER["readings"])
    with pytest.raises(analysis_codec.MalformedAnalysis, match="catalogue"):
        analysis_codec.decode(orjson.dumps(given))


async def test_told_once_and_decided() -> None:
    pipeline = Pipeline()
    (output,) = await pipeline.detect(bare())
    given = orjson.loads(output.value or b"")
    given["analysis"]["readings"].append(NEWER["readings"])
    with capture_logs() as logs:
        decisions = [await pipeline.decide(replace(output, value=orjson.dumps(given))) for _ in range(2)]
    assert [line["names"] for line in logs if line["event"] == "names_of_a_newer_release"] == [["pulse"]]
    assert decisions == [await pipeline.decide(output)] * 2
