"""Records as publishers write them: events without content type, base64 of every kind, later fields."""

from __future__ import annotations

import base64
import hashlib

import orjson
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.kafka import to_binary as old_to_binary
from cloudevents.v1.kafka import to_structured as old_to_structured

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Submission
from tests.unit.stream.builders import (
    GUID,
    IMAGE,
    bare,
    base64_of,
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

ATTRIBUTES = {"type": "liveness.submission.v1", "source": "/onboarding", "id": "event-7", "subject": "sub-1"}
ATTRIBUTES |= {"correlationid": GUID, "partitionkey": GUID}
OBJECT_TEXT = orjson.dumps(selfie()).decode()


def sent(message):
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return record(message.value, tuple(message.headers.items()), key)


def new_sdk(wrap, data, content_type):
    attributes = ATTRIBUTES | ({"datacontenttype": content_type} if content_type else {})
    return sent(wrap(CloudEvent(attributes=attributes, data=data), JSONFormat()))


def old_sdk(wrap, data, content_type):
    attributes = dict(ATTRIBUTES)
    if content_type or wrap is old_to_binary:  # which asks for the attribute, and leaves None out
        attributes["datacontenttype"] = content_type
    marshal = None if isinstance(data, dict) else lambda given: given
    return sent(wrap(OldCloudEvent(attributes, data), data_marshaller=marshal))


OBJECTS = (selfie(), OBJECT_TEXT, OBJECT_TEXT.encode())
JSON_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "text/json",
    "application/vnd.onboarding+json",
    None,
)
SDK = [
    *((new_sdk, wrap) for wrap in (kafka.to_binary, kafka.to_structured)),
    *((old_sdk, wrap) for wrap in (old_to_binary, old_to_structured)),
]


@pytest.mark.parametrize("content_type", JSON_TYPES)
@pytest.mark.parametrize("data", OBJECTS, ids=["object", "text", "bytes"])
@pytest.mark.parametrize(("sdk", "wrap"), SDK)
def test_object_of_sdk(sdk, wrap, data, content_type):
    assert read(sdk(wrap, data, content_type)) == read(bare())


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", None])
@pytest.mark.parametrize(("sdk", "wrap"), SDK)
def test_picture_of_sdk(sdk, wrap, content_type):
    assert read(sdk(wrap, IMAGE, content_type)) == read(binary())


EVENT = structured(selfie()).value or b""
HEADERS = [
    (),
    *((("content-type", kind),) for kind in (b"application/json", b"APPLICATION/JSON", b"text/plain", b"", b"\xff")),
    *(
        (("content-type", kind),)
        for kind in (b"Application/CloudEvents+JSON; charset=UTF-8", b"application/cloudevents")
    ),
    (("contentType", b'"application/json"'), ("traceparent", b"00-1")),
    ce_headers(b"application/json", subject="other"),
    (("ce_type", b"x"),),
]


@pytest.mark.parametrize("headers", HEADERS)
def test_structured_whatever_headers_say(headers):
    assert read(record(EVENT, headers)) == read(bare())


def test_incomplete_event_answered():
    for name in ("id", "source", "type"):
        rejected(record(structured(selfie(), **{name: ...}).value), message=_missing(name))
    flat = event_attributes(**selfie())
    rejected(record(orjson.dumps(flat)), message="data must be a JSON object")
    rejected(structured(subject="sub-1", data_base64="%"), message="data must be a JSON object")


def _missing(name):
    return "CloudEvents: type must be liveness.submission.v1" if name == "type" else f"CloudEvents: {name} is missing"


#: Holds +, / and both paddings.
PICTURE = IMAGE[:4] + b"\xfb\xef\xbe\xff" * 200 + b"\x00"
BASE64 = base64.b64encode(PICTURE).decode()
URL_SAFE = BASE64.replace("+", "-").replace("/", "_")
SPELLINGS = {
    "MIME": base64.encodebytes(PICTURE).decode(),
    "CRLF": base64.encodebytes(PICTURE).decode().replace("\n", "\r\n"),
    "spaces and tabs": f" {BASE64[:7]} \t{BASE64[7:]} ",
    "URL-safe": URL_SAFE,
    "both alphabets": BASE64[:9] + URL_SAFE[9:],
    "no padding": BASE64.rstrip("="),
    "half the padding": BASE64[:-1],
    "URL-safe, no padding": URL_SAFE.rstrip("="),
    **{
        head: head + BASE64
        for head in (
            *("data:image/jpeg;base64,", "DATA:IMAGE/JPEG;BASE64,", "Data:;Base64,", "data:image/jpeg; base64, "),
            *(
                "data:image/jpeg;charset=utf-8;base64,",
                'data:image/jpeg;name="a,b;c";base64,',
                "\n data:x/y;a=b;base64,",
            ),
        )
    },
    "percent-encoded": "data:;base64," + BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
    "data URL, MIME, no padding": "data:;base64,\n" + base64.encodebytes(PICTURE).decode().rstrip("=\n"),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_spelling_of_base64(text):
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert {"+", "/", "="} <= set(BASE64)
    for given in (bare(image=text, image_sha256=digest), module(selfieImage=text)):
        answer = read(given)
        assert isinstance(answer, Submission), answer
        assert answer.frames[0].image == PICTURE


ASKS_FOR_MORE = {
    "session_token": ("token", 5),
    "liveness_mode": ("active", "passive_active", "PASSIVE", 5),
    "liveness_threshold": (80, 0, "80"),
    "liveness_challenges": (["smile"], []),
    "frames": ([base64_of()],),
    "dataref": ("https://example.com/selfie.jpg",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, of in ASKS_FOR_MORE.items() for value in of])
def test_field_that_cannot_be_honoured(name, value):
    wanted = f"this service can't do what these fields ask for: {name}"
    beside = orjson.loads(module().value or b"")
    in_a_header = binary(**{name.replace("_", ""): str(value)})
    for given in (bare(**{name: value}), record(orjson.dumps({**beside, name: value}), (), GUID.encode()), in_a_header):
        rejected(given, message=wanted)
    assert read(bare(**{name: None})) == read(bare(**{name: ""})) == read(bare(liveness_mode="passive")) == read(bare())


def test_expected_address_needs_address():
    expected = "expected_client_ip is compared with client_ip, which is missing"
    for given in (bare(expected_client_ip="203.0.113.0/24"), binary(expectedclientip="203.0.113.0/24")):
        rejected(given, message=expected)


def envelope(*biometrics, **beside):
    document = {"resourceId": "sub-1", "context": {"subject": {"biometrics": list(biometrics)}}, **beside}
    return record(orjson.dumps(document), key=GUID.encode())


SELFIE = {"selfieImage": base64_of()}


def test_neighbours_of_module_selfie():
    for neighbour in ({}, {"selfieImage": None}, {"selfieImage": ""}, {"fingerprint": "x"}, None, 5, "x"):
        assert read(envelope(neighbour, SELFIE)) == read(envelope(SELFIE, neighbour)) == read(module())
    several = "context.subject.biometrics holds several images; one submission has one"
    for given in (envelope(SELFIE, SELFIE), envelope(SELFIE, image=base64_of())):
        rejected(given, message=several)
    encrypted = {**SELFIE, "selfieImageEncryption": True}
    rejected(envelope({}, encrypted), ErrorCode.DECRYPTION_FAILED)


def test_fields_beside_module_context():
    beside = {"tenant": "bank-1", "session_id": "s", "client_ip": "203.0.113.9", "device_id": "d"}
    answer = read(envelope(SELFIE, **beside))
    attributes = {name.replace("_", ""): value for name, value in beside.items()}
    around = structured(orjson.loads(module().value or b""), correlationid=GUID, **attributes)
    assert isinstance(answer, Submission)
    assert answer == read(around)
    assert {"tenant": answer.ids.tenant, "session_id": answer.ids.session_id} == {"tenant": "bank-1", "session_id": "s"}
    assert (answer.context.client_ip, answer.context.device_id) == ("203.0.113.9", "d")
    rejected(record(orjson.dumps({"resourceId": "sub-1"}), (), GUID.encode()))
