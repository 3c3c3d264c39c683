"""Forms of a submission, all with the same meaning; the public CloudEvents SDK is the oracle for two of them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import orjson
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from detectors.contract import Frame
from stream.events.message.messages import Submission
from stream.events.wire.submissions import Form, NewSubmission, submission_output
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    JSON_TYPE,
    OTHER_GUID,
    bare,
    base64_of,
    binary,
    ce_headers,
    ids,
    module,
    read,
    record,
    rejected,
    selfie,
    structured,
)

OPTIONAL = {
    "tenant": "bank-1",
    "session_id": "session-1",
    "resource_id": "resource-1",
    "client_ip": "203.0.113.9",
    "device_id": "device-1",
    "captured_at": "2026-01-02T03:04:05.678Z",
    "image_sha256": hashlib.sha256(IMAGE).hexdigest(),
}


def accepted(given):
    submission = read(given)
    assert isinstance(submission, Submission), submission
    return submission


def from_sdk(message: kafka.KafkaMessage):
    headers = tuple(message.headers.items())
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return record(message.value, headers, key)


def sdk_event(data, *, content_type, **attributes):
    named = {"type": "liveness.submission.v1", "source": "/onboarding", "id": "event-7", "subject": "sub-1"}
    named |= {"datacontenttype": content_type, "correlationid": GUID, **attributes}
    return CloudEvent(attributes=named, data=data)


def test_the_bare_object():
    submission = accepted(bare(**OPTIONAL))
    assert (submission.frames, submission.appended_at_ms) == ((Frame(IMAGE),), 1_700_000_000_000)
    found = {**asdict(submission.ids), **asdict(submission.context)}
    wanted = {"submission_id": "sub-1", "correlation_id": GUID, "expected_client_ip": None, **OPTIONAL}
    assert found == {name: value for name, value in wanted.items() if name != "image_sha256"}


@pytest.mark.parametrize("form", list(Form))
def test_what_our_own_builder_publishes_is_read(form):
    optional = OPTIONAL if form is not Form.MODULE else {}
    new = NewSubmission(image=IMAGE, submission_id="sub-1", correlation_id=GUID, optional=optional)
    output = submission_output(new, "liveness.submissions", form)
    submission = accepted(record(output.value, output.headers, output.key))
    assert submission == accepted(bare(**OPTIONAL) if form is not Form.MODULE else module())


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "IMAGE/JPEG", None])
def test_a_binary_event_of_the_sdk(content_type):
    extensions = {name.replace("_", ""): value for name, value in OPTIONAL.items()}
    event = sdk_event(IMAGE, content_type=content_type or "image/jpeg", **extensions)
    sent = from_sdk(kafka.to_binary(event, JSONFormat()))
    if content_type is None:
        sent = record(sent.value, tuple(h for h in sent.headers if h[0] != "content-type"), sent.key)
    assert accepted(sent) == accepted(bare(**OPTIONAL))


@pytest.mark.parametrize("wrap", [kafka.to_binary, kafka.to_structured])
def test_object_event_of_sdk(wrap):
    event = sdk_event(selfie(**OPTIONAL), content_type="application/json")
    assert accepted(from_sdk(wrap(event, JSONFormat()))) == accepted(bare(**OPTIONAL))


IN_EVENT = structured(selfie())
NO_IDS = selfie(submission_id=..., correlation_id=...)
MODULE_OBJECT = orjson.loads(module().value or b"")
STRUCTURED_TYPES = (b"application/cloudevents+json", b"Application/CloudEvents+JSON; q=1", b" application/cloudevents")
HEADS = ("data:image/jpeg;base64,", "data:image/png;base64,", "data:;base64,", "data:a/b;c=d;base64,")


STRANGE = (("traceparent", b"\xff\x00"), ("CE_TYPE", b"x"), ("", b""), ("ce-type", b"x"), ("x" * 9000, b"y"))
#: name -> a record and the record that means the same.
SAME = {
    "optional fields null": (bare(**dict.fromkeys(OPTIONAL)), bare()),
    "unknown fields": (bare(colour="green", nested={"a": [1]}), bare()),
    "white space around base64": (bare(image=f"\r\n {base64_of()}\n"), bare()),
    **{f"data URL {head}": (bare(image=head + base64_of()), bare()) for head in HEADS},
    **{
        f"{name} {kind!r}": (record(IN_EVENT.value, ((name, kind),)), bare())
        for name in ("content-type", "Content-Type")
        for kind in STRUCTURED_TYPES
    },
    "structured wins over ce_ headers": (
        record(IN_EVENT.value, (*IN_EVENT.headers, *ce_headers(None, subject="other"))),
        bare(),
    ),
    "envelope names what the object leaves out": (
        structured(NO_IDS, subject="sub-1", correlationid=GUID, tenant="bank-1"),
        bare(tenant="bank-1"),
    ),
    "object over envelope": (
        structured(selfie(tenant="bank-1"), subject="other", correlationid=OTHER_GUID, tenant="other"),
        bare(tenant="bank-1"),
    ),
    "null attributes": (structured(selfie(), subject=None, tenant=None), bare()),
    "module envelope in an event": (structured(MODULE_OBJECT, correlationid=GUID), module()),
    **{f"module, encryption {e}": (module(selfieImageEncryption=e), module()) for e in (False, None, ...)},
    **{
        f"record key {number}": (record(given.value, given.headers, GUID.upper().encode()), bare())
        for number, given in enumerate((bare(correlation_id=...), bare(correlation_id=None), binary(correlationid=...)))
    },
    "field over record key": (record(bare().value, (), OTHER_GUID.encode()), bare()),
    "headers that mean nothing": (record(bare().value, STRANGE), bare()),
}


@pytest.mark.parametrize(("given", "same"), SAME.values(), ids=SAME)
def test_same_meaning(given, same):
    assert accepted(given) == accepted(same)


@pytest.mark.parametrize("subject", [..., ""])
def test_event_id_without_subject(subject):
    """Binary events only: the CloudEvents id names the submission where there is no subject."""
    assert accepted(binary(subject=subject)).ids.submission_id == "event-1"


def test_module_envelope():
    submission = accepted(module())
    assert submission.frames == (Frame(IMAGE),)
    assert submission.ids == ids(resource_id="sub-1")


AS_JSON = record(orjson.dumps(selfie()), (*ce_headers(None), JSON_TYPE))
SAME_FINGERPRINT = [
    *(bare(), IN_EVENT, binary(), AS_JSON, bare(image="data:image/jpeg;base64," + base64_of())),
    *(bare(correlation_id=spelling) for spelling in (GUID.upper(), GUID.replace("-", ""))),
    bare(client_ip="203.0.113.9", device_id="x"),
]


def test_fingerprint_same_in_any_form():
    assert len({accepted(form).fingerprint for form in SAME_FINGERPRINT}) == 1


OTHERS = {"submission_id": "sub-2", "correlation_id": OTHER_GUID, "tenant": "bank-1"}
OTHERS |= {"session_id": "session-1", "resource_id": "resource-1", "image": base64_of(IMAGE + b"\x00")}


def test_other_content_has_another_fingerprint():
    others = [accepted(bare(**{name: value})).fingerprint for name, value in OTHERS.items()]
    wrong = [rejected(bare(image=image)).fingerprint for image in ("%", "%%")]
    assert len({accepted(bare()).fingerprint, *others, *wrong}) == 1 + len(OTHERS) + 2
