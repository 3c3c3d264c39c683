"""Every accepted form of a submission means the same; the public CloudEvents SDK is the oracle for two of them."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from detectors.contract import Frame
from stream.events.messages import Rejected, Submission
from stream.events.submissions import Form, NewSubmission, submission_output
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    JSON_TYPE,
    OTHER_GUID,
    OTHER_IMAGE,
    bare,
    base64_of,
    binary,
    ce_headers,
    module,
    read,
    record,
    selfie,
    structured,
)

OPTIONAL = {
    "tenant": "bank-1",
    "session_id": "session-1",
    "session_token": "token",
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
    named = {
        "type": "liveness.submission.v1",
        "source": "/onboarding",
        "id": "event-7",
        "subject": "sub-1",
        "datacontenttype": content_type,
        "correlationid": GUID,
        **attributes,
    }
    return CloudEvent(attributes=named, data=data)


def test_the_bare_object():
    submission = accepted(bare(**OPTIONAL))
    assert submission.frames == (Frame(IMAGE),)
    assert submission.ids.submission_id == "sub-1"
    assert submission.ids.correlation_id == GUID
    assert submission.ids.tenant == "bank-1"
    assert submission.ids.session_id == "session-1"
    assert submission.ids.resource_id == "resource-1"
    assert submission.context.client_ip == "203.0.113.9"
    assert submission.context.device_id == "device-1"
    assert submission.context.captured_at == "2026-01-02T03:04:05.678Z"
    assert submission.context.session_token == "token"
    assert submission.appended_at_ms == 1_700_000_000_000


def test_all_optional_fields_may_be_missing_or_null():
    assert accepted(bare()) == accepted(bare(**dict.fromkeys(OPTIONAL)))


def test_unknown_fields_are_ignored():
    assert accepted(bare(colour="green", nested={"a": [1]})) == accepted(bare())


@pytest.mark.parametrize(
    "head", ["data:image/jpeg;base64,", "data:image/png;base64,", "data:;base64,", "data:a/b;c=d;base64,"]
)
def test_a_data_url(head):
    assert accepted(bare(image=head + base64_of())).frames == (Frame(IMAGE),)


def test_whitespace_around_the_base64_is_no_harm():
    assert accepted(bare(image=f"\r\n {base64_of()}\n")).frames == (Frame(IMAGE),)


@pytest.mark.parametrize("form", list(Form))
def test_what_our_own_builder_publishes_is_read(form):
    optional = {name: value for name, value in OPTIONAL.items() if form is not Form.MODULE}
    new = NewSubmission(image=IMAGE, submission_id="sub-1", correlation_id=GUID, optional=optional)
    output = submission_output(new, "liveness.submissions", form)
    submission = accepted(record(output.value, output.headers, output.key))
    assert submission.frames == (Frame(IMAGE),)
    assert (submission.ids.submission_id, submission.ids.correlation_id) == ("sub-1", GUID)
    if form is not Form.MODULE:
        assert submission == accepted(bare(**OPTIONAL))


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "IMAGE/JPEG", None])
def test_a_binary_event_of_the_sdk(content_type):
    event = sdk_event(
        IMAGE,
        content_type=content_type or "image/jpeg",
        tenant="bank-1",
        sessionid="session-1",
        sessiontoken="token",
        resourceid="resource-1",
        clientip="203.0.113.9",
        deviceid="device-1",
        capturedat="2026-01-02T03:04:05.678Z",
        imagesha256=OPTIONAL["image_sha256"],
    )
    sent = from_sdk(kafka.to_binary(event, JSONFormat()))
    if content_type is None:
        sent = record(sent.value, tuple(h for h in sent.headers if h[0] != "content-type"), sent.key)
    assert accepted(sent) == accepted(bare(**OPTIONAL))


def test_a_binary_event_of_the_sdk_may_carry_the_object():
    event = sdk_event(selfie(**OPTIONAL), content_type="application/json")
    assert accepted(from_sdk(kafka.to_binary(event, JSONFormat()))) == accepted(bare(**OPTIONAL))


def test_a_structured_event_of_the_sdk():
    event = sdk_event(selfie(**OPTIONAL), content_type="application/json")
    assert accepted(from_sdk(kafka.to_structured(event, JSONFormat()))) == accepted(bare(**OPTIONAL))


def test_a_structured_event_of_the_sdk_with_raw_bytes_is_answered():
    sent = from_sdk(kafka.to_structured(sdk_event(IMAGE, content_type="image/jpeg"), JSONFormat()))
    assert b"data_base64" in (sent.value or b"")
    answer = read(sent)
    assert isinstance(answer, Rejected)
    assert answer.message == "data must be a JSON object"
    assert answer.ids.submission_id == "sub-1"
    assert answer.ids.correlation_id == GUID


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=UTF-8", b" application/cloudevents"],
)
@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
def test_structured_mode_is_told_by_the_content_type(content_type, name):
    sent = structured(selfie())
    assert accepted(record(sent.value, ((name, content_type),))) == accepted(bare())


def test_structured_wins_over_ce_headers():
    sent = structured(selfie())
    assert accepted(record(sent.value, (*sent.headers, *ce_headers(None, subject="other")))) == accepted(bare())


def test_binary_is_told_by_its_headers_whatever_the_content():
    assert accepted(binary()).frames == (Frame(IMAGE),)


def test_ce_id_names_the_submission_where_there_is_no_subject():
    assert accepted(binary(subject=...)).ids.submission_id == "event-1"
    assert accepted(binary(subject="")).ids.submission_id == "event-1"


def test_the_envelope_names_what_the_object_leaves_out():
    sent = structured(
        selfie(submission_id=..., correlation_id=...), subject="sub-1", correlationid=GUID, tenant="bank-1"
    )
    assert accepted(sent) == accepted(bare(tenant="bank-1"))


def test_the_object_has_the_last_word():
    sent = structured(selfie(tenant="bank-1"), subject="other", correlationid=OTHER_GUID, tenant="other")
    assert accepted(sent) == accepted(bare(tenant="bank-1"))


def test_null_attributes_of_a_structured_event_are_absent_ones():
    assert accepted(structured(selfie(), subject=None, tenant=None)) == accepted(bare())


def test_the_module_envelope():
    submission = accepted(module())
    assert submission.frames == (Frame(IMAGE),)
    assert submission.ids.submission_id == submission.ids.resource_id == "sub-1"
    assert submission.ids.correlation_id == GUID


def test_the_module_envelope_inside_an_event():
    sent = structured(orjson.loads(module().value or b""), correlationid=GUID)
    assert accepted(sent) == accepted(module())


@pytest.mark.parametrize("encrypted", [False, None, ...])
def test_an_unencrypted_module_selfie(encrypted):
    assert accepted(module(selfieImageEncryption=encrypted)).frames == (Frame(IMAGE),)


@pytest.mark.parametrize("given", [bare(correlation_id=...), bare(correlation_id=None), binary(correlationid=...)])
def test_the_record_key_is_the_correlation_id_when_no_field_says_it(given):
    with_key = record(given.value, given.headers, GUID.upper().encode())
    assert accepted(with_key).ids.correlation_id == GUID


def test_a_field_beats_the_record_key():
    given = bare()
    assert accepted(record(given.value, (), OTHER_GUID.encode())).ids.correlation_id == GUID


def test_the_same_submission_in_any_form_has_one_fingerprint():
    as_json = record(orjson.dumps(selfie()), (*ce_headers(None), JSON_TYPE))
    forms = [bare(), structured(selfie()), binary(), as_json, bare(image="data:image/jpeg;base64," + base64_of())]
    assert len({accepted(form).fingerprint for form in forms}) == 1


def test_another_spelling_of_a_guid_is_the_same_person():
    spellings = [GUID, GUID.upper(), GUID.replace("-", "")]
    assert len({accepted(bare(correlation_id=spelling)).fingerprint for spelling in spellings}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"image": base64_of(OTHER_IMAGE)},
        {"image": base64_of(IMAGE + b"\x00")},
        {"submission_id": "sub-2"},
        {"correlation_id": OTHER_GUID},
        {"tenant": "bank-1"},
        {"session_id": "session-1"},
        {"resource_id": "resource-1"},
    ],
)
def test_other_content_has_another_fingerprint(other):
    assert accepted(bare(**other)).fingerprint != accepted(bare()).fingerprint


def test_what_is_no_content_does_not_change_the_fingerprint():
    assert accepted(bare(client_ip="203.0.113.9", device_id="x")).fingerprint == accepted(bare()).fingerprint


def test_two_wrong_submissions_under_one_id_differ_too():
    first, again, other = (read(bare(image=image)) for image in ("%", "%", "%%"))
    assert first == again
    assert isinstance(first, Rejected)
    assert isinstance(other, Rejected)
    assert first.fingerprint != other.fingerprint
