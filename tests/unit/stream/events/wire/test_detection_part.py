"""The contract of detector groups: what is read, what is refused, and who is believed."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import orjson
import pytest

from detectors.contract import ModelVersion
from stream.events.authentication.group_macs import HEADER, GroupMacFault, GroupMacs
from stream.events.message.session_terms import FramePart
from stream.events.wire.detection_part import MAX_PART_BYTES, PartError, decode_part, encode_part, is_part
from tests.unit.stream.builders import SECRET, bare
from tests.unit.stream.json_schema import PART_SCHEMA, violations
from tests.unit.stream.pipeline.join_cases import group_part, group_reading, sent_by_group

KEY = b"k" * 32
FULL = group_part(
    group_reading(0.75, reason="flat"),
    group_reading(None, name="ear"),
    part=FramePart(frame_index=11, frame_count=12),
    models=(ModelVersion(name="depth net", version="3", sha256="ab" * 32),),
)


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(encode_part(FULL)) | changes
    return {name: value for name, value in found.items() if value is not ...}


@pytest.mark.parametrize("part", [FULL, group_part()])
def test_read_as_written(part):
    value = encode_part(part)
    assert decode_part(value) == part
    assert violations(orjson.loads(value), PART_SCHEMA) == []


def reading(**changes: Any) -> list[dict[str, Any]]:
    return [document()["readings"][0] | changes]


WRONG = [
    {"version": 2},
    {"version": True},
    {"group": "Depth"},
    {"group": SECRET.lower()},
    {"ids": {}},
    {"part": {"frame_index": 8, "frame_count": 8}},
    {"part": {"frame_index": 0, "frame_count": 13}},
    {"image_sha256": []},
    {"image_sha256": ["AB" * 32]},
    {"image_sha256": ["ab" * 32] * 17},
    {"readings": []},
    {"readings": [document()["readings"][0]] * 2},
    {"readings": reading(liveness=1.01)},
    {"readings": reading(liveness="0.5")},
    {"readings": reading(status="failed")},
    {"readings": reading(name="sharp ness")},
    {"readings": reading(detail="line\nbreak")},
    {"readings": reading(reason="x" * 33)},
    {"readings": reading(extra=SECRET)},
    {"models": [{"name": "m"}]},
    {"part": ...},
    {SECRET: 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_refused(wrong):
    with pytest.raises(PartError) as told:
        decode_part(orjson.dumps(document(**wrong)))
    assert SECRET.lower() not in str(told.value).lower()


@pytest.mark.parametrize("value", [None, b"", b"[]", b"x" * (MAX_PART_BYTES + 1)])
def test_no_part_at_all(value):
    with pytest.raises(PartError):
        decode_part(value)


def test_digest_is_of_what_counts():
    same = replace(FULL, readings=tuple(replace(each, detail="other words") for each in FULL.readings))
    assert same.digest == FULL.digest
    for other in (
        replace(FULL, image_sha256=("cd" * 32,)),
        replace(FULL, readings=FULL.readings[:1]),
        replace(FULL, readings=(replace(FULL.readings[0], liveness=0.7499), FULL.readings[1])),
        replace(FULL, models=()),
    ):
        assert other.digest != FULL.digest


def test_told_by_its_type():
    assert is_part(sent_by_group(FULL))
    assert not is_part(bare())


def test_macs():
    macs, record = GroupMacs({"depth": [b"old" * 20, KEY]}), sent_by_group(FULL)
    mac = hmac.new(KEY, record.topic.encode() + b"\n" + (record.value or b""), hashlib.sha256).hexdigest()

    def with_header(*values: str):
        return replace(record, headers=(*record.headers, *((HEADER, each.encode()) for each in values)))

    right = f"1:{mac}"
    assert macs.fault(with_header(right), "depth") is None
    assert macs.fault(record, "depth") is GroupMacFault.MISSING
    assert macs.fault(with_header(right, right), "depth") is GroupMacFault.MALFORMED
    assert macs.fault(with_header(mac), "depth") is GroupMacFault.MALFORMED
    assert macs.fault(with_header(f"1:{'0' * 64}"), "depth") is GroupMacFault.WRONG
    assert macs.fault(replace(with_header(right), value=b"{}"), "depth") is GroupMacFault.WRONG
    assert macs.fault(replace(with_header(right), topic="other.liveness.detections"), "depth") is GroupMacFault.WRONG
    assert macs.fault(record, "another") is None, "where no key is configured"
