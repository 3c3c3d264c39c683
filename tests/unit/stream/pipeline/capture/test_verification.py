"""Face verification: the reference is compared and nothing else, and what isn't compared is nobody's match."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import FaceVerification, ImageLimits
from config.policy import LEARNED, Policy, load
from detectors.contract import Frame, PictureHashes, Template
from detectors.template.impostors import ImpostorModel
from stream.encryption import jwe
from stream.encryption.key_folder import KeyFolder
from stream.events.message.findings import FaceComparison
from stream.events.message.messages import Refusal, Rejected, Submission
from stream.events.message.session_terms import FrameContext, FramePart
from stream.events.wire.detection_codec import DetectionError, decode_detection, encode_detection
from stream.pipeline.admission.admission import Admitted
from stream.pipeline.capture.reference_face import compared
from stream.pipeline.capture.verification import reference_refusal, session_passed, verification
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.intake import intake
from stream.pipeline.verdict.verdict import verdict_on
from tests.unit.stream.builders import (
    APPENDED_AT_MS,
    IMAGE,
    OTHER_IMAGE,
    SECRET,
    analysis,
    bare,
    base64_of,
    detection,
)
from tests.unit.stream.encryption.keys import key, write
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations
from tests.unit.stream.pipeline.capture.test_attestation import TERMS

POLICY = Policy()
IMPOSTORS = ImpostorModel(dof=60.0, scale=0.08)
TOKEN = "token"
PICTURE = PictureHashes(pixels_sha256="ab" * 32, perceptual=1)


def face(*numbers, **changes):
    vector = struct.pack(f"<{len(numbers)}f", *numbers)
    template = Template(model="net", model_sha256="cd" * 32, vector=vector)
    return analysis(0.9, template=template, picture=PICTURE, **changes)


def faceless(error):
    return analysis({}, error=error, message="why", face_detected=False)


APART = IMPOSTORS.distance_for(1e-4)
REFERENCE, SAME, STRANGER = face(0.0, 0.0), face(0.0, 0.3), face(0.0, 0.7)
WITHOUT = analysis(0.9, template_reason="face_at_border")


def sent(reference=..., **changes):
    return bare(session_token=TOKEN, reference_image=reference, **changes)


def read(given, limits=None, keys=None):
    return intake.read(given, limits or ImageLimits(), keys, sessions=True)


def submission(image=OTHER_IMAGE, **changes) -> Submission:
    found = read(sent(base64_of(image)))
    assert isinstance(found, Submission), found
    return replace(found, **changes)


def test_reference_is_no_frame():
    found, plain = submission(), read(bare(session_token=TOKEN))
    assert (found.frames, found.reference) == (plain.frames, Frame(OTHER_IMAGE))
    assert found.image_sha256 == plain.image_sha256
    assert found.fingerprint != plain.fingerprint, "another reference is another question"
    assert submission(IMAGE).fingerprint != found.fingerprint


def test_encrypted_reference(tmp_path):
    write(tmp_path, key("e"))
    (keys := KeyFolder(tmp_path)).open()
    found = read(sent(jwe.encrypt(OTHER_IMAGE, key("e")).decode()), keys=keys)
    assert isinstance(found, Submission)
    assert (found.reference, found.encrypted) == (Frame(OTHER_IMAGE), False)
    assert found.fingerprint == submission().fingerprint


HOSTILE = {
    "no base64": (f"%{SECRET}", ErrorCode.INVALID_REQUEST, "reference_image: image is not valid base64"),
    "no picture": ("AAAA", ErrorCode.UNSUPPORTED_FORMAT, "reference_image: the image is not a JPEG"),
    "a number": (5, ErrorCode.INVALID_REQUEST, "reference_image: image is missing or blank"),
    "an object": ({"x": SECRET}, ErrorCode.INVALID_REQUEST, "reference_image: image is missing or blank"),
    "a JWE without keys": (
        jwe.encrypt(IMAGE, key("e")).decode(),
        ErrorCode.DECRYPTION_FAILED,
        "reference_image: the selfie is encrypted and no key",
    ),
}


@pytest.mark.parametrize(("reference", "error", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_reference(reference, error, message):
    answer = read(sent(reference))
    assert isinstance(answer, Rejected)
    assert answer.error is error
    assert answer.message.startswith(message)
    assert SECRET not in answer.message


def test_limit_holds_for_all_pictures_together():
    room = len(IMAGE) + len(OTHER_IMAGE)
    given = sent(base64_of(OTHER_IMAGE))
    assert isinstance(read(given, ImageLimits(max_bytes=room)), Submission)
    answer = read(given, ImageLimits(max_bytes=room - 1))
    assert isinstance(answer, Rejected)
    assert answer.error is ErrorCode.IMAGE_TOO_LARGE


def test_reference_of_a_record_a_frame():
    """The record of the first frame has it."""
    assert isinstance(read(sent(base64_of(), frame_index=0, frame_count=8)), Submission)
    answer = read(sent(base64_of(), frame_index=1, frame_count=8))
    assert isinstance(answer, Rejected)
    assert answer.message == "reference_image goes with the record of the first frame"


def test_reference_needs_a_session():
    answer = read(bare(reference_image=base64_of()))
    assert isinstance(answer, Rejected)
    assert answer.message == "these fields need a session's token, session_token: reference_image"


BOUND = replace(TERMS, reference_sha256=hashlib.sha256(OTHER_IMAGE).hexdigest())
FIRST, SECOND = FramePart(frame_index=0, frame_count=8), FramePart(frame_index=1, frame_count=8)
REFUSALS = [
    (TERMS, {}, ""),
    (TERMS, {"reference": None}, ""),
    (BOUND, {}, ""),
    (BOUND, {"reference": None}, "reference_missing"),
    (BOUND, {"reference": Frame(IMAGE)}, "reference_other_than_session"),
    (BOUND, {"reference": None, "part": FIRST}, "reference_missing"),
    (BOUND, {"reference": None, "part": SECOND}, ""),
]


@pytest.mark.parametrize(("terms", "changes", "reason"), REFUSALS)
def test_reference_of_the_session_wins(terms, changes, reason):
    refusal = reference_refusal(submission(**changes), terms)
    assert ("" if refusal is None else refusal.reason) == reason
    assert refusal is None or refusal.error is ErrorCode.SESSION_INVALID


COMPARISONS = {
    "no face in it": (faceless(ErrorCode.NO_FACE_DETECTED), [SAME], IMPOSTORS, "reference_no_face"),
    "several faces in it": (faceless(ErrorCode.MULTIPLE_FACES), [SAME], IMPOSTORS, "reference_several_faces"),
    "a damaged file": (faceless(ErrorCode.INVALID_REQUEST), [SAME], IMPOSTORS, "reference_unusable"),
    "a poor view": (WITHOUT, [SAME], IMPOSTORS, "reference_poor"),
    "poor frames": (REFERENCE, [WITHOUT, faceless(ErrorCode.NO_FACE_DETECTED)], IMPOSTORS, "face_poor"),
    "templates off": (analysis(template_reason="template_off"), [SAME], IMPOSTORS, "comparison_off"),
    "nobody calibrated": (REFERENCE, [SAME], None, "comparison_off"),
    "another model": (face(0.0), [SAME], IMPOSTORS, "comparison_off"),
}


@pytest.mark.parametrize(("reference", "frames", "impostors", "reason"), COMPARISONS.values(), ids=COMPARISONS)
def test_not_compared(reference, frames, impostors, reason):
    assert compared(reference, frames, (), impostors) == FaceComparison(reason=reason)


def test_the_best_frame_is_compared():
    frames = [STRANGER, WITHOUT, SAME]
    contexts = (FrameContext(challenge="smile"), FrameContext(), FrameContext())
    assert compared(REFERENCE, frames, contexts, IMPOSTORS) == compared(REFERENCE, [SAME], (), IMPOSTORS)


def verified(comparison, policy=POLICY, terms=TERMS):
    given = detection((analysis(0.9),), session=terms, verification=comparison)
    event = orjson.loads(encode(decision_event(given, verdict_on(given.finding, policy), policy, APPENDED_AT_MS)))
    assert violations(event, DECISION_SCHEMA) == []
    return event["result"]


@pytest.mark.parametrize(
    ("strangers", "identical", "confidence"),
    [
        (0.0, True, 1.0),
        (1e-12, True, 0.999999),
        (1e-4, True, 0.9999),
        (1.001e-4, False, 0.999899),
        (0.5, False, 0.5),
        (1.0, False, 0.0),
    ],
)
def test_threshold(strangers, identical, confidence):
    """The numbers shown agree with the answer, and liveness is another question."""
    result = verified(FaceComparison(strangers=strangers))
    assert result["verification"] == {
        "is_identical": identical,
        "match_confidence": confidence,
        "threshold": 0.9999,
        "false_match_rate": 0.0001,
        "reason": None,
    }
    assert (result["verdict"], result["liveness_passed"], session_passed(result)) == ("LIVE", True, identical)


def test_not_compared_is_no_match():
    for comparison, terms, reason in (
        (FaceComparison(reason="face_poor"), TERMS, "face_poor"),
        (None, BOUND, "reference_not_compared"),
    ):
        result = verified(comparison, terms=terms)
        assert (result["verification"]["is_identical"], result["verification"]["reason"]) == (None, reason)
        assert not session_passed(result)


def test_without_reference():
    result = verified(None)
    assert (result["verification"], session_passed(result)) == (None, True)
    assert not session_passed({**result, "liveness_passed": False})
    refused = detection(Refusal(error=ErrorCode.SESSION_INVALID, message="why"), session=BOUND)
    assert verification(refused, POLICY) is None


def test_rate_is_the_policys():
    """The shipped policies keep their hashes; another rate is another policy."""
    strict = Policy(verification=FaceVerification(false_match_rate=1e-6))
    assert verified(FaceComparison(strangers=1e-5), strict)["verification"]["is_identical"] is False
    assert strict.sha256 != POLICY.sha256
    assert POLICY.sha256.startswith("ea893384")
    assert load(LEARNED).sha256.startswith("4e1f9d25")


@pytest.mark.parametrize("comparison", [FaceComparison(strangers=0.25), FaceComparison(reason="face_poor")])
def test_detections_carry_the_comparison(comparison):
    given = detection(session=TERMS, verification=comparison)
    assert decode_detection(encode_detection(given)) == given
    assert b"verification" not in encode_detection(detection())


@pytest.mark.parametrize(
    "comparison",
    [{"strangers": None, "reason": ""}, {"strangers": 0.1, "reason": "x"}, {"strangers": -1, "reason": ""}, {}],
)
def test_stranger_comparison_is_refused(comparison):
    document = orjson.loads(encode_detection(detection()))
    with pytest.raises(DetectionError):
        decode_detection(orjson.dumps({**document, "verification": comparison}))


class ByPicture(FakeAnalyser):
    """Pool that tells the two pictures apart."""

    async def analyse(self, frames, *, measured=False):
        self.pictures += [frame.image for frame in frames]
        return tuple(SAME if frame.image == IMAGE else face(0.0, 0.0, notes=("of_reference",)) for frame in frames)


class Admits:
    """Admission with a session's terms."""

    def __init__(self, terms):
        self.terms = terms

    async def admit(self, submission, origin):
        return Admitted(active=frozenset(("face_reuse", "media_replay")), session=self.terms)


def pipeline_with(terms) -> Pipeline:
    pipeline = Pipeline(ByPicture())
    pipeline.detect_stage = replace(pipeline.detect_stage, admission=Admits(terms), impostors=IMPOSTORS, sessions=True)
    return pipeline


async def test_nothing_of_the_reference_stays():
    """The reference is analysed in the same job, and leaves a comparison behind, nothing else."""
    pipeline = pipeline_with(BOUND)
    (output,) = await pipeline.detect(sent(base64_of(OTHER_IMAGE)))
    assert pipeline.analyser.pictures == [IMAGE, OTHER_IMAGE]
    found = decode_detection(output.value)
    assert len(found.finding) == 1
    assert found.verification == compared(REFERENCE, [SAME], (), IMPOSTORS)
    (plain,) = await pipeline_with(None).detect(bare(session_token=TOKEN))
    assert decode_detection(plain.value).references == found.references
    assert b"of_reference" not in (output.value or b"")
    assert hashlib.sha256(OTHER_IMAGE).hexdigest() not in str(replace(found, session=None))


async def test_other_reference_is_not_analysed():
    pipeline = pipeline_with(BOUND)
    (output,) = await pipeline.detect(sent(base64_of(IMAGE)))
    finding = decode_detection(output.value).finding
    assert isinstance(finding, Refusal)
    assert (finding.reason, pipeline.analyser.pictures) == ("reference_other_than_session", [])


async def test_no_session_no_second_picture(pipeline):
    (output,) = await pipeline.detect(bare())
    found = decode_detection(output.value)
    assert (pipeline.analyser.pictures, found.verification, found.capture) == ([IMAGE], None, None)
