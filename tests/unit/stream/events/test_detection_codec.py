"""The event between the two agents: there and back without loss, and nothing else gets in."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.faces.protected_template import ProtectedTemplate
from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.observation import NOWHERE, Origin
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.subjects import Subject, SubjectType
from config.error_codes import ErrorCode
from config.policy import Policy
from config.settings import MOST_HASH_KEYS
from detectors.catalogue import SIGNAL_LABELS
from stream.events.detection_codec import (
    LATEST_MS,
    MAX_DETECTION_BYTES,
    DetectionError,
    decode_detection,
    detection_output,
    encode_detection,
)
from stream.events.ids import SubmissionIds
from stream.events.messages import AlreadyDecided, Detection, Refusal
from stream.pipeline.decision import decision_event, encode
from stream.pipeline.verdict import judge
from tests.unit.stream.builders import FINGERPRINT, GUID, SECRET, analysis, detection, frames_of, ids

GOLDEN = Path(__file__).with_name("golden") / "detection_of_one_frame.json"


def decided(**changes) -> AlreadyDecided:
    found = detection(**changes)
    return AlreadyDecided(decision=encode(decision_event(found, judge(analysis(), Policy()), Policy(), 1)))


REFUSAL = Refusal(error=ErrorCode.IMAGE_TOO_LARGE, message="the image has more than 10 bytes")
FINDINGS = [analysis(), analysis({"sharpness": None}), REFUSAL, decided()]


@pytest.mark.parametrize("finding", FINDINGS, ids=["analysis", "failed readings", "refusal", "decided"])
def test_there_and_back(finding):
    sent = detection(finding)
    assert decode_detection(encode_detection(sent)) == sent


def test_one_frame_keeps_its_form():
    """Workers of an earlier version write and read it."""
    sent = detection(analysis({"sharpness": 0.75, "lbp_texture": None}))
    assert encode_detection(sent) == GOLDEN.read_bytes()
    assert decode_detection(GOLDEN.read_bytes()) == sent


def test_several_frames_there_and_back():
    sent = replace(detection(), finding=(analysis(), analysis(0.2)))
    assert decode_detection(encode_detection(sent)) == sent
    alone = orjson.loads(encode_detection(sent))
    alone["analyses"].pop()
    assert refusal_of(alone)


id_text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
all_ids = st.builds(
    SubmissionIds,
    submission_id=id_text,
    correlation_id=st.none() | st.uuids().map(str),
    tenant=st.none() | st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    session_id=st.none() | id_text,
    resource_id=st.none() | id_text,
)
printable = st.characters(exclude_categories=["Cc", "Cs"])
findings = st.dictionaries(st.sampled_from(list(SIGNAL_LABELS)), st.none() | st.floats(0, 1)).map(analysis) | st.builds(
    Refusal,
    error=st.sampled_from(ErrorCode),
    message=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200),
)
milliseconds = st.integers(0, 10**9).map(lambda n: n / 1000)
hashed = st.from_regex(r"\A[a-z0-9]{1,16}-[0-9a-f]{32}\Z")


def subjects(kind: SubjectType) -> st.SearchStrategy[Subject | None]:
    former = st.lists(hashed, max_size=3).map(tuple)
    return st.none() | st.builds(Subject, type=st.just(kind), key=hashed, former=former)


origins = st.builds(
    Origin,
    device=subjects(SubjectType.DEVICE),
    address=subjects(SubjectType.ADDRESS),
    prefix=subjects(SubjectType.PREFIX),
    networks=st.lists(st.from_regex(r"\A[a-z0-9_-]{1,64}\Z"), max_size=4).map(tuple),
    as_expected=st.none() | st.booleans(),
)


@settings(max_examples=200)
@given(
    st.builds(
        Detection,
        ids=all_ids,
        fingerprint=st.from_regex(r"\A[0-9a-f]{32}\Z"),
        appended_at_ms=st.integers(0, LATEST_MS),
        finding=findings.map(frames_of),
        origin=origins,
        queue_ms=milliseconds,
        detection_ms=milliseconds,
    )
)
def test_any_detection_survives(sent):
    read = decode_detection(encode_detection(sent))
    assert read == sent
    # Former keys are no part of a subject's identity, so the comparison above doesn't see them.
    assert [subject.former for subject in read.origin.subjects] == [s.former for s in sent.origin.subjects]


def document(finding=REFUSAL):
    return orjson.loads(encode_detection(detection(finding)))


def refusal_of(value):
    with pytest.raises(DetectionError) as refused:
        decode_detection(value if value is None or isinstance(value, bytes) else orjson.dumps(value))
    assert SECRET not in str(refused.value)
    assert len(str(refused.value)) < 300
    return str(refused.value)


NO_DETECTIONS = [
    *(None, b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"\x00", b"[" * 100_000),
    *(b" " * (MAX_DETECTION_BYTES + 1), SECRET.encode()),
]


@pytest.mark.parametrize("value", NO_DETECTIONS)
def test_bytes_that_are_no_detection(value):
    refusal_of(value)


def test_the_size_limit_is_exact():
    encoded = encode_detection(detection(REFUSAL))
    assert decode_detection(encoded + b" " * (MAX_DETECTION_BYTES - len(encoded)))
    assert refusal_of(encoded + b" " * (MAX_DETECTION_BYTES - len(encoded) + 1)) == (
        "the detection is empty or too large"
    )


@pytest.mark.parametrize("field", sorted(set(document()) - {"refusal", "origin", "marks"}))
def test_no_field_may_be_missing(field):
    sent = document()
    del sent[field]
    assert field in refusal_of(sent)


@pytest.mark.parametrize(("field", "default"), [("origin", NOWHERE), ("marks", NO_REFERENCES)])
def test_fields_added_later(field, default):
    """Detections that workers of an earlier version left on the topic are still read."""
    sent = document()
    del sent[field]
    assert getattr(decode_detection(orjson.dumps(sent)), field) == default


MARKED = ReuseReferences(
    face=ProtectedTemplate("net-1", "k1", np.linspace(-1, 1, 128).astype("<f4").tobytes()),
    picture=(
        KeyedImageHashes(key_id="k2", bytes=0, pixels=2**63, perceptual=2**64 - 1),
        KeyedImageHashes(key_id="k1", bytes=1, pixels=2, perceptual=3),
    ),
)


def test_references_keep_half_precision():
    back = decode_detection(encode_detection(detection(marks=MARKED))).marks
    assert back.picture == MARKED.picture
    assert back.face is not None
    assert back.face.packed == MARKED.face.packed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("face", "model"), "a b"),
        (("face", "key_id"), "k|1"),
        (("face", "packed"), "%%"),
        (("face", "packed"), ""),
        (("face", "packed"), base64.b64encode(b"\0" * 256).decode()),
        (("face", "packed"), base64.b64encode(b"\xff\x7f" * 128).decode()),
        (("face", "packed"), "A" * 4000),
        (("face", "more"), 1),
        (("picture", 0, "perceptual"), "ff"),
        (("picture", 1, "perceptual"), 7),
        (("picture", 0, "bytes"), "AB" * 8),
        (("picture", 1, "pixels"), None),
        (("picture", 0, "key_id"), "k|1"),
        (("picture", 1, "more"), 1),
    ],
)
def test_malformed_references(path, value):
    sent = orjson.loads(encode_detection(detection(marks=MARKED)))
    *way, last = ("marks", *path)
    place = sent
    for step in way:
        place = place[step]
    place[last] = value
    assert refusal_of(sent).startswith(("marks.face is no print", "missing, unknown or malformed: marks"))


def test_hashes_are_bounded_by_keys():
    sent = orjson.loads(encode_detection(detection(marks=MARKED)))
    sent["marks"]["picture"] *= MOST_HASH_KEYS
    assert refusal_of(sent) == "missing, unknown or malformed: marks.picture"


@pytest.mark.parametrize("place", [(), ("ids",), ("refusal",)])
def test_unknown_field_is_not_quoted(place):
    sent = document()
    target = sent
    for step in place:
        target = target[step]
    target[SECRET] = 1
    assert (place[-1] if place else "an unknown field") in refusal_of(sent)


WRONG = {
    "version": [0, 2, "1", None, [], 1.5],
    "fingerprint": ["", "x" * 32, "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", 5, None],
    "appended_at_ms": [-1, 1.5, "5", None, True, [], 1e3],
    "queue_ms": [-1, "5", None, True, {}],
    "detection_ms": [-0.1, [], "x"],
    "ids": [None, [], "x", {}],
    "refusal": [5, "x", {}, {"error": SECRET, "message": "x"}, {"error": "SERVER_ERROR", "message": "x" * 1001}],
    "analysis": [{}, [], 5, {"error": SECRET}],
    "decided": [5, [], {}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_wrong_value_is_refused(field, value):
    sent = document()
    if field in ("analysis", "decided"):
        del sent["refusal"]
    sent[field] = value
    refusal_of(sent)


HASH = "k1-" + "a" * 32
#: By group and field: values that are no hashes and names, or no ids in the alphabets of intake; `...`: missing.
BAD = {
    "origin.device": [
        *(..., 5, HASH, {}, {"key": HASH}, {"key": "203.0.113.9", "former": []}, {"key": HASH, "former": ["x"]})
    ],
    "origin.address": [..., {"key": HASH.upper(), "former": []}, {"key": f"{HASH}\n", "former": []}],
    "origin.prefix": [..., {"key": HASH, "former": [HASH] * 17}, {"key": HASH, "former": [], "raw": "203.0.113.0/24"}],
    "origin.networks": [..., None, "tor", ["Tor"], ["a b"], [""], ["x" * 65], ["tor"] * 257, [5]],
    "origin.as_expected": [..., 0, "no"],
    "ids.submission_id": [..., "", "a b", "a\x00b", "x" * 129, "ü", 5, None],
    "ids.correlation_id": [..., "", GUID.upper(), GUID.replace("-", ""), "user-1", GUID + "\n", 5],
    "ids.tenant": [..., "", "a b", "a\x00b", "x" * 65, "a/b", 5],
    "ids.session_id": [..., "", "a\nb", "x" * 257, 5],
    "ids.resource_id": [..., "", "a\nb", "x" * 257, []],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in BAD.items() for value in values])
def test_malformed_ids_and_origins(path, value):
    sent = document()
    group, field = path.split(".")
    if value is ...:
        del sent[group][field]
    else:
        sent[group][field] = value
    assert path in refusal_of(sent)


def test_every_id_has_bad_values():
    assert {f"ids.{field}" for field in document()["ids"]} <= set(BAD)


@pytest.mark.parametrize("more", [{"analysis": None}, {"decided": base64.b64encode(b"{}").decode()}])
def test_exactly_one_finding(more):
    sent = document() | more
    if more == {"analysis": None}:
        del sent["refusal"]
    assert refusal_of(sent) == "exactly one of analysis, refusal and decided must be there"


@pytest.mark.parametrize(
    "text", ["", "é", "AA", "!!!!", SECRET, "bm90IGpzb24=", base64.b64encode(b"[]").decode(), "////"]
)
def test_decided_must_be_a_decision(text):
    sent = document(decided()) | {"decided": text}
    assert refusal_of(sent).startswith("decided is not a decision")


@pytest.mark.parametrize(
    "about", [{"ids": ids(submission_id="sub-2")}, {"ids": ids(tenant="bank-1")}, {"fingerprint": "f" * 32}]
)
def test_decision_on_another_submission(about):
    sent = encode_detection(detection(decided(**about)))
    assert refusal_of(sent) == "decided is not a decision on this submission"


@settings(max_examples=300)
@given(at=st.integers(0, 10_000), cut=st.integers(0, 8), instead=st.binary(max_size=4), which=st.integers(0, 3))
def test_mutation_is_read_or_refused(at, cut, instead, which):
    value = encode_detection(detection(FINDINGS[which]))
    at %= len(value)
    try:
        read = decode_detection(value[:at] + instead + value[at + cut :])
    except DetectionError:
        return
    assert decode_detection(encode_detection(read)) == read


def test_record_key_is_the_person():
    output = detection_output(detection(), "topic", "/here")
    assert output.key == GUID.encode()
    assert dict(output.headers)["ce_type"] == b"liveness.detection.v1"
    assert dict(output.headers)["ce_id"] == FINGERPRINT.encode()
    nobody = detection_output(detection(ids=ids(correlation_id=None)), "topic", "/here")
    assert nobody.key == b"sub-1"


def test_time_without_a_date():
    """Such a time would end the worker that writes it out."""
    sent = document()
    sent["appended_at_ms"] = LATEST_MS + 1
    assert "appended_at_ms" in refusal_of(sent)
