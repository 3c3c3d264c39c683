"""Records that name a submission are rejected with an answer, whatever is wrong; records that name none are poison."""

from __future__ import annotations

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Poison
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    JSON_TYPE,
    SECRET,
    STRUCTURED_TYPE,
    bare,
    binary,
    ce_headers,
    event_attributes,
    module,
    read,
    record,
    rejected,
    selfie,
    structured,
)

NAMED = {"subject": "sub-1", "correlationid": GUID}


def with_json(value: bytes | None, **attributes):
    return record(value, (*ce_headers(None, **{**NAMED, **attributes}), JSON_TYPE))


ANSWERED = {
    "another spec version": binary(specversion="0.3"),
    "a newer spec version": binary(specversion="1.1"),
    "no spec version": binary(specversion=...),
    "another type": binary(type="liveness.submission.v2"),
    "somebody else's type": binary(type="com.example." + SECRET),
    "no type": binary(type=...),
    "no source": binary(source=...),
    "an empty source": binary(source=""),
    "no event id": binary(id=...),
    "a header that is not text": binary(deviceid=b"\xff\xfe"),
    "an event id that is not text": binary(id=b"\xff\xfe"),
    "a header twice": record(IMAGE, (*binary().headers, ("ce_deviceid", b"a"), ("ce_deviceid", b"a"))),
    "a type twice": record(IMAGE, (*binary().headers, ("ce_type", b"x"))),
    "an event without a value": binary(None),
    "no JSON where the header promises it": with_json(SECRET.encode()),
    "no value where the header promises JSON": with_json(None),
    "a list where the header promises an object": with_json(b"[]"),
    "too many elements": with_json(b"[" * 5_000),
    "not UTF-8 where the header promises JSON": with_json(b'{"a": "\xff"}'),
    "structured, another version": structured(selfie(), specversion="2.0"),
    "structured, version as a number": structured(selfie(), specversion=1.0),
    "structured, another type": structured(selfie(), type="x"),
    "structured, type as a list": structured(selfie(), type=["x"]),
    "structured, no id": structured(selfie(), id=...),
    "structured, id as a number": structured(selfie(), id=5),
    "structured without data, named by its subject": structured(**NAMED),
    "structured, data as text, named by its subject": structured(SECRET, **NAMED),
    "structured, data as a list, named by its subject": structured([selfie()], **NAMED),
    "structured, null data, named by its subject": structured(None, **NAMED),
    "structured, another version and no data": structured(None, **NAMED, specversion="0"),
    "structured, data without ids, no picture": structured({}, **NAMED),
    "correlation id from the record key": record(
        structured(SECRET, subject="sub-1").value, structured().headers, GUID.encode()
    ),
    "a module envelope in an event of another type": structured(
        orjson.loads(module().value or b""), type="x", correlationid=GUID
    ),
}

POISON = {
    "a tombstone": record(None),
    "a tombstone with a key": record(None, (), GUID.encode()),
    "nothing": record(b""),
    "not JSON": record(SECRET.encode()),
    "half a JSON": record(orjson.dumps(selfie())[:20]),
    "two JSONs": record(orjson.dumps(selfie()) * 2),
    "a raw picture without headers": record(IMAGE),
    "not UTF-8": record(b'{"submission_id": "\xff"}'),
    "NUL": record(b"\x00"),
    "a list": record(b"[]"),
    "a number": record(b"5"),
    "null": record(b"null"),
    "text": record(b'"x"'),
    "an empty object": record(b"{}"),
    "no submission id": bare(submission_id=...),
    "deep lists": record(b"[" * 100_000),
    "deep objects": record(b'{"a":' * 100_000),
    "a batch": record(b"[" + orjson.dumps(event_attributes()) + b"]", (STRUCTURED_TYPE,)),
    "a structured event that is no JSON": record(IMAGE, (STRUCTURED_TYPE,)),
    "a structured event that names nobody": structured({"image": "x"}),
    "a binary event that names nobody": record(IMAGE, (("ce_type", b"x"),)),
    "a subject that is not text, with an event id": binary(subject=b"\xff", id="somebody-else"),
    "a subject that is no id": binary(subject="two words"),
    "a subject twice": record(IMAGE, (*binary().headers, ("ce_subject", b"sub-2"))),
    "a structured subject that is no text": structured({}, subject=["sub-1"]),
}


@pytest.mark.parametrize("given", ANSWERED.values(), ids=ANSWERED)
def test_named_submission_is_rejected(given):
    answer = rejected(given)
    assert (answer.ids.submission_id, answer.ids.correlation_id) == ("sub-1", GUID)


@pytest.mark.parametrize("given", POISON.values(), ids=POISON)
def test_nameless_record_is_poison(given):
    answer = read(given)
    assert isinstance(answer, Poison), answer
    assert (answer.reason, bool(answer.message)) == (ErrorCode.INVALID_REQUEST, True)
    assert SECRET not in answer.message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (binary(specversion="0.3"), "CloudEvents: specversion must be 1.0"),
        (binary(type="x"), "CloudEvents: type must be liveness.submission.v1"),
        (binary(source=...), "CloudEvents: source is missing"),
        (binary(id=...), "CloudEvents: id is missing"),
        (binary(deviceid=b"\xff"), "a ce_ header comes twice or is not UTF-8 text"),
        (structured(**NAMED), "data must be a JSON object"),
        (record(b""), "the record is empty"),
        (record(b"x"), "the record is neither JSON nor a CloudEvent"),
        (record(b"[]"), "the JSON is not an object"),
        (record(b"[" * 5_000), "the JSON is not an object"),
    ],
)
def test_message_says_what_to_mend(given, message):
    assert read(given).message == message
