"""Records from the future, pictures that can't be analysed, ids that name nobody: what they leave behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abuse.store_time import StillTime
from abuse.subjects import SubjectType
from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis
from stream.events.wire.event_times import LATEST_MS, EventTimes
from tests.unit.stream.builders import GUID, analysis, bare, base64_of, rejected
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.abuse_cases import (
    EVERYTHING,
    LIVE,
    SPOOF,
    abuse_of,
    attacked,
    code_of,
    event_of,
    of_kind,
    sent,
)

NO_FACE = Analysis(error=ErrorCode.NO_FACE_DETECTED, message="no face")
PICTURES = {
    "no base64": ({"image": "%"}, LIVE),
    "no picture": ({"image": ""}, LIVE),
    "refused format": ({"image": base64_of(b"GIF89a" + bytes(64))}, LIVE),
    "no face": ({}, NO_FACE),
}


@pytest.mark.parametrize("ahead_ms", [3 * 86_400_000, 31 * 86_400_000, LATEST_MS])
async def test_record_from_the_future_empties_no_journal(ahead_ms):
    """Nor does it meet flags as if they had expired."""
    pipeline = attacked()
    now_ms = sent(1).appended_at_ms
    pipeline.detect_stage = replace(pipeline.detect_stage, times=EventTimes(StillTime(now_ms), pipeline.patience))
    for number in range(1, 5):
        await pipeline.decision(sent(number, **EVERYTHING))
    future = replace(sent(5, **EVERYTHING), appended_at_ms=min(now_ms + ahead_ms, LATEST_MS))
    await pipeline.decision(future)
    assert {len(lines) for (_, kind, _), lines in journals(pipeline).items() if kind is SubjectType.CORRELATION_ID} == {
        5
    }
    assert event_of(await pipeline.decision(replace(future, value=sent(6, **EVERYTHING).value)))["error"]["code"] == (
        "SUBJECT_PAUSED"
    )


def journals(pipeline):
    lines = {}
    for (key, _), part in pipeline.ledger.journals.items():
        lines.setdefault(key, set()).update(part)
    return lines


@pytest.mark.parametrize(("changes", "found"), PICTURES.values(), ids=PICTURES)
async def test_unanalysed_picture_counts_for_its_sender(changes, found):
    pipeline = Pipeline(FakeAnalyser(found))
    output = await pipeline.decision(sent(1, **EVERYTHING | changes))
    kinds = {kind for _, kind, _ in journals(pipeline)}
    assert kinds == {SubjectType.CORRELATION_ID, SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX}
    assert abuse_of(output)["observation"]["finding"] == "unanalysed"
    for number in range(2, 31):
        who = f"00000000-0000-4000-8000-{number % 3:012x}"
        await pipeline.decision(sent(number, number, **EVERYTHING | changes | {"correlation_id": who}))
    assert of_kind(pipeline.flags, "device_velocity"), "30 submissions of one device in a day"


async def test_invalid_address_takes_no_device_along():
    pipeline = Pipeline(FakeAnalyser(LIVE))
    output = await pipeline.decision(sent(1, client_ip="nowhere", device_id="phone-1"))
    assert event_of(output)["error"]["message"] == "missing or malformed: client_ip"
    assert {kind for _, kind, _ in journals(pipeline)} == {SubjectType.CORRELATION_ID, SubjectType.DEVICE}


@pytest.mark.parametrize("digit", ["0", "f", "F"])
@pytest.mark.parametrize("hyphens", [True, False])
async def test_id_that_names_nobody(digit, hyphens):
    guid = "-".join(digit * length for length in (8, 4, 4, 4, 12)) if hyphens else digit * 32
    read = rejected(bare(correlation_id=guid))
    assert read.ids.correlation_id is None
    assert read.message.startswith("correlation_id is the nil or the max GUID")
    pipeline = Pipeline(FakeAnalyser(SPOOF))
    output = await pipeline.decision(sent(1, **EVERYTHING | {"correlation_id": guid}))
    assert (event_of(output)["error"]["code"], event_of(output)["abuse"]) == ("INVALID_REQUEST", None)
    assert pipeline.ledger.journals == {}


@pytest.mark.parametrize(("confidences", "flagged"), [((0.43, 0.46, 0.47), True), ((0.5, 0.53, 0.52), False)])
async def test_measured_attacks_are_severe(confidences, flagged):
    """Confidences as measured of masks, and of attacks that hardly missed."""
    pipeline = Pipeline(FakeAnalyser(SPOOF))
    for number, confidence in enumerate(confidences, start=1):
        pipeline.analyser.found = analysis(confidence)
        output = await pipeline.decision(sent(number, 100 * number, **EVERYTHING))
    assert bool(of_kind(pipeline.flags, "attack_severity")) is flagged
    assert abuse_of(output)["is_abuse_detected"] is False, "a shadow flag accuses nobody"


def everybody(device: int, network: int) -> dict[str, str]:
    return EVERYTHING | {"device_id": f"phone-{device}", "client_ip": f"198.51.{network}.7"}


@pytest.mark.parametrize("found", [LIVE, NO_FACE], ids=["live", "no face"])
async def test_constant_id_is_said_and_refuses_nobody(found):
    pipeline = Pipeline(FakeAnalyser(found))
    outputs = [await pipeline.decision(sent(n, n, **everybody(device=n, network=n))) for n in range(1, 25)]
    assert "SUBJECT_PAUSED" not in map(code_of, outputs)
    (raised, *_) = of_kind(pipeline.flags, "constant_id")
    assert (raised["subject"]["key"], raised["enforced"]) == (GUID, False)
    assert (raised["evidence"]["used"], raised["evidence"]["counts"]["fault"]) == (8, "publisher")
    assert not any(abuse_of(output)["is_abuse_detected"] for output in outputs)


@pytest.mark.parametrize(("devices", "networks"), [(1, 1), (24, 1), (1, 24), (7, 7)])
async def test_one_attacker_is_no_constant_id(devices, networks):
    """Device ids are easily made up, and a phone on its way changes networks."""
    pipeline = Pipeline(FakeAnalyser(LIVE))
    numbers = [(n, everybody(device=n % devices, network=n % networks)) for n in range(1, 12)]
    outputs = [await pipeline.decision(sent(n, n, **given)) for n, given in numbers]
    assert of_kind(pipeline.flags, "constant_id") == []
    assert code_of(outputs[-1]) == "SUBJECT_PAUSED"
