"""Attested capture: what a statement must be about, and what its finding does to a verdict."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from config.limits.injection import InjectionPolicy
from config.policy import Policy
from stream.encryption.capture_claims import CaptureChannel
from stream.events.message.findings import FORGED, NOT_ATTESTED, Attestation, CaptureFinding, joined_capture
from stream.events.message.messages import Rejected, Submission
from stream.events.message.session_terms import FramePart, LivenessMode, SessionTerms
from stream.events.wire.detection_codec import DetectionError, decode_detection, encode_detection
from stream.pipeline.capture.attestation import capture_finding
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.intake import intake
from stream.pipeline.verdict.injection import LivenessFlag
from stream.pipeline.verdict.verdict import VerdictKind, verdict_on
from tests.unit.stream.builders import APPENDED_AT_MS, IMAGE, OTHER_IMAGE, SECRET, analysis, bare, detection
from tests.unit.stream.encryption.statements import NONCE, OTHER, P256, SESSION, claims, private, public_text
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations

TERMS = SessionTerms(
    session_id=SESSION,
    mode=LivenessMode.PASSIVE,
    active=False,
    threshold=75,
    attempt=1,
    attempts_allowed=1,
    capture_key=public_text(),
    nonce=NONCE,
)
ATTESTED = CaptureFinding(attestation=Attestation.ATTESTED, channel=CaptureChannel.IOS, camera="Back camera")
WEB = replace(ATTESTED, channel=CaptureChannel.WEB)


def submission(statement=..., **changes) -> Submission:
    fields = {"session_token": "token", "capture_attestation": statement}
    read = intake.read(bare(**fields), Policy().image, sessions=True)
    assert isinstance(read, Submission), read
    return replace(read, **changes)


def found(statement=..., terms=TERMS, **changes):
    return capture_finding(submission(statement, **changes), terms)


def sign(images=(IMAGE,), key=None, **changes):
    return (key or private()).sign(claims(images, **changes))


def test_attested():
    assert found(sign()) == ATTESTED
    assert found(sign(key=private(P256)), replace(TERMS, capture_key=public_text(P256))) == ATTESTED


FORGERIES = {
    "no statement": SECRET,
    "another key": sign(key=private(OTHER)),
    "another session": sign(session="session-2"),
    "another nonce": sign(nonce="token-2"),
    "another picture": sign([OTHER_IMAGE]),
    "one picture more": sign([IMAGE, OTHER_IMAGE]),
}


@pytest.mark.parametrize("statement", FORGERIES.values(), ids=FORGERIES)
def test_forged(statement):
    assert found(statement) == FORGED


def test_not_attested():
    assert found() == NOT_ATTESTED
    assert found(sign(), replace(TERMS, capture_key="")) == NOT_ATTESTED, "nobody's key could prove it"
    assert found(sign(), replace(TERMS, capture_key=SECRET)) == FORGED, "a key that can't be read proves nothing"


def test_order_of_frames():
    frames = submission().frames
    both = (*frames, replace(frames[0], image=OTHER_IMAGE))
    assert found(sign([IMAGE, OTHER_IMAGE]), frames=both) == ATTESTED
    assert found(sign([OTHER_IMAGE, IMAGE]), frames=both) == FORGED


@pytest.mark.parametrize(("index", "count", "right"), [(2, 8, True), (3, 8, False), (2, 9, False)])
def test_record_a_frame(index, count, right):
    """The statement has all digests, and a record's one stands at its place."""
    statement = sign([OTHER_IMAGE] * 2 + [IMAGE] + [OTHER_IMAGE] * 5)
    place = FramePart(frame_index=index, frame_count=count)
    assert found(statement, part=place) == (ATTESTED if right else FORGED)


JOINED = [
    ((ATTESTED, ATTESTED), ATTESTED),
    ((ATTESTED, NOT_ATTESTED), NOT_ATTESTED),
    ((ATTESTED, None), NOT_ATTESTED),
    ((NOT_ATTESTED, FORGED), FORGED),
    ((ATTESTED, WEB), FORGED),
    ((None, None), None),
]


@pytest.mark.parametrize(("findings", "worst"), JOINED)
def test_joined(findings, worst):
    assert joined_capture(findings) == worst


WRONG = {"a list": [SECRET], "too long": SECRET * 1000, "a number": 5}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_hostile_field(given):
    read = intake.read(bare(session_token="t", capture_attestation=given), Policy().image, sessions=True)
    assert isinstance(read, Rejected)
    assert read.message == "missing or malformed: capture_attestation"


def test_statement_needs_a_session():
    alone = intake.read(bare(capture_attestation="x"), Policy().image, sessions=True)
    assert isinstance(alone, Rejected)
    assert alone.message == "these fields need a session's token, session_token: capture_attestation"


def test_statement_is_no_content():
    """Signed anew, a submission is still the same, and nothing shows the statement."""
    one, other = submission(sign()), submission("another")
    assert one.fingerprint == other.fingerprint
    assert sign()[:40] not in repr(one)


def decided(capture, *, required=False, policy=None, liveness=0.9):
    policy = policy or Policy()
    terms = replace(TERMS, attestation_required=required)
    given = detection((analysis(liveness),), session=terms, capture=capture)
    verdict = verdict_on(given.finding, policy, capture=capture, attested_only=required)
    event = orjson.loads(encode(decision_event(given, verdict, policy, APPENDED_AT_MS)))
    assert violations(event, DECISION_SCHEMA) == []
    return verdict, event["result"]


LIVE, UNDECIDED, SPOOF = VerdictKind.LIVE, VerdictKind.INCONCLUSIVE, VerdictKind.SPOOF
OFF = Policy(injection=InjectionPolicy(active=False))
#: Capture, whether the session asks for an attested one, policy -> verdict on a face that is LIVE.
VERDICTS = [
    (ATTESTED, False, None, LIVE),
    (ATTESTED, True, None, LIVE),
    (WEB, True, None, LIVE),
    (NOT_ATTESTED, False, None, LIVE),
    (NOT_ATTESTED, True, None, UNDECIDED),
    (FORGED, False, None, SPOOF),
    (FORGED, True, None, SPOOF),
    (FORGED, False, OFF, LIVE),
    (FORGED, True, OFF, SPOOF),
    (NOT_ATTESTED, True, OFF, UNDECIDED),
    (ATTESTED, True, OFF, LIVE),
]


@pytest.mark.parametrize(("capture", "required", "policy", "kind"), VERDICTS)
def test_verdicts(capture, required, policy, kind):
    """No switch of a policy lets through what the session asks for."""
    verdict, result = decided(capture, required=required, policy=policy)
    assert verdict.kind is kind
    assert (verdict.injection.flag is LivenessFlag.NOT_LIVE) is (kind is not LIVE)
    assert bool(result["advice"]) is (kind is not LIVE)


def test_decision_tells_the_capture():
    shown = {"attestation": "attested", "channel": "ios", "camera": "Back camera"}
    assert decided(ATTESTED)[1]["capture"] == shown
    nothing = {"attestation": "forged", "channel": None, "camera": None}
    assert decided(FORGED)[1]["capture"] == nothing
    assert decided(None)[1]["capture"]["attestation"] == "not_attested", "a finding that is missing is none"


@pytest.mark.parametrize(
    ("capture", "codes"),
    [(ATTESTED, []), (WEB, ["captured_by_web"]), (NOT_ATTESTED, ["capture_not_attested"]), (None, [])],
)
def test_indications(capture, codes):
    """An indication that weighs nothing by default is shown all the same, and lowers nothing."""
    injection = decided(capture)[1]["injection"]
    assert [each["code"] for each in injection["indications"]] == codes
    assert (injection["verdict"], injection["score"]) == ("Live", 1.0)


def test_web_is_weaker_by_a_weight():
    weights = {**Policy().injection.weights.model_dump(), "captured_by_web": 0.4}
    policy = Policy(injection=InjectionPolicy.model_validate({"weights": weights}))
    assert decided(WEB, policy=policy)[0].injection.score == 0.6
    assert decided(ATTESTED, policy=policy)[0].injection.score == 1.0


@pytest.mark.parametrize("capture", [ATTESTED, NOT_ATTESTED, FORGED])
def test_detections_carry_the_finding(capture):
    sent = detection(session=TERMS, capture=capture)
    assert decode_detection(encode_detection(sent)) == sent
    assert b"capture" not in encode_detection(detection())


@pytest.mark.parametrize(
    "capture",
    [
        {"attestation": "attested", "channel": None, "camera": None},
        {"attestation": "forged", "channel": "ios", "camera": "x"},
        {"attestation": "attested", "channel": "ios", "camera": "\x1b"},
        {"attestation": "sure", "channel": None, "camera": None},
    ],
)
def test_stranger_finding_is_refused(capture):
    document = orjson.loads(encode_detection(detection(session=TERMS)))
    with pytest.raises(DetectionError):
        decode_detection(orjson.dumps({**document, "capture": capture}))
