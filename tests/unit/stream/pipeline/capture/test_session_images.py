"""Session images: the best frame by its digest; a picture leaves only if asked for, and only for the tenant's eyes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.contract import Frame
from stream.encryption import jwe
from stream.events.message.findings import SessionImage
from stream.events.message.messages import Submission
from stream.events.message.session_terms import FramePart
from stream.events.wire.detection_codec import DetectionError, decode_detection, encode_detection
from stream.pipeline.capture.session_images import NOTHING, SessionImages
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.intake import intake
from stream.pipeline.verdict.verdict import verdict_on
from tests.unit.stream.builders import APPENDED_AT_MS, GUID, IMAGE, OTHER_IMAGE, analysis, bare, detection
from tests.unit.stream.encryption.keys import EC, RSA, key
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations
from tests.unit.stream.pipeline.capture.test_attestation import TERMS
from tests.unit.stream.pipeline.capture.test_verification import Admits

WANTED = replace(TERMS, image_wanted=True)
ROOM = 15 * 1024 * 1024
DIGEST = hashlib.sha256(IMAGE).hexdigest()
NO_FACE = analysis({}, error=ErrorCode.NO_FACE_DETECTED, message="no face", face_detected=False)


class Keys:
    """Keys by tenant."""

    def __init__(self, **keys):
        self.keys = keys

    def get(self, tenant):
        return self.keys.get(tenant or "nobody")


BANK = Keys(bank=key("bank-2026", EC))


def images(keys=BANK, max_bytes=ROOM):
    return SessionImages(keys=keys, topic="images", source="/test", max_bytes=max_bytes)


def submission(tenant="bank", **changes) -> Submission:
    found = intake.read(bare(session_token="t", tenant=tenant), Policy().image, sessions=True)
    assert isinstance(found, Submission)
    return replace(found, **changes)


async def test_published_to_the_tenant_alone():
    image, (output,) = await images().image(submission(), WANTED, [analysis()])
    assert image == SessionImage(frame=0, sha256=DIGEST, published=True, reason="")
    assert jwe.decrypt(output.value, {"bank-2026": key("bank-2026", EC)}) == IMAGE
    assert IMAGE[:32] not in output.value
    assert (output.topic, output.key) == ("images", GUID.encode())
    headers = {name: value.decode() for name, value in output.headers}
    assert headers.pop("ce_id").startswith("si_")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_type": "liveness.session-image.v1",
        "ce_source": "/test",
        "ce_subject": "sub-1",
        "ce_sessionid": TERMS.session_id,
        "ce_correlationid": GUID,
        "ce_tenant": "bank",
        "ce_imagesha256": DIGEST,
        "ce_frameindex": "0",
        "content-type": "application/jose",
    }


async def test_a_repeat_has_the_same_id():
    (one,), (two,) = [(await images().image(submission(), WANTED, [analysis()]))[1] for _ in range(2)]
    assert dict(one.headers) == dict(two.headers)
    (other,) = (await images().image(submission(fingerprint="f" * 32), WANTED, [analysis()]))[1]
    assert dict(other.headers)["ce_id"] != dict(one.headers)["ce_id"]


WITHHELD = {
    "not wanted": (images(), submission(), TERMS, "not_wanted"),
    "no keys": (images(None), submission(), WANTED, "no_key"),
    "another tenant": (images(), submission("shop"), WANTED, "no_key"),
    "no tenant": (images(), submission(...), WANTED, "no_key"),
    "too large": (images(max_bytes=jwe.longest(len(IMAGE)) - 1), submission(), WANTED, "too_large"),
}


@pytest.mark.parametrize(("given", "of", "terms", "reason"), WITHHELD.values(), ids=WITHHELD)
async def test_withheld(given, of, terms, reason):
    """The decision says that nothing was published, and why."""
    image = SessionImage(frame=0, sha256=DIGEST, published=False, reason=reason)
    assert await given.image(of, terms, [analysis()]) == (image, [])


async def test_largest_record_fits():
    for algorithm in (RSA, EC):
        keys = Keys(bank=key("b" * 128, algorithm))
        sized = images(keys, max_bytes=jwe.longest(len(IMAGE)))
        _, (output,) = await sized.image(submission(), WANTED, [analysis()])
        assert len(output.value) <= sized.max_bytes


async def test_best_frame():
    of = submission(frames=(Frame(IMAGE), Frame(OTHER_IMAGE)))
    image, (output,) = await images().image(of, WANTED, [analysis(0.5), analysis(0.9)])
    assert (image.frame, image.sha256) == (1, hashlib.sha256(OTHER_IMAGE).hexdigest())
    assert jwe.decrypt(output.value, {"bank-2026": key("bank-2026", EC)}) == OTHER_IMAGE


async def test_no_face_no_image():
    assert await images().image(submission(), WANTED, [NO_FACE]) == (NOTHING, [])


async def test_record_a_frame():
    """The record of a frame is all that a worker has: the record of the first one has the image, a later one none."""
    first, second = (FramePart(frame_index=index, frame_count=8) for index in (0, 1))
    image, outputs = await images().image(submission(part=first), WANTED, [analysis()])
    assert (image.frame, len(outputs)) == (0, 1)
    assert await images().image(submission(part=second), WANTED, [analysis()]) == (None, [])


def shown(session, image):
    given = detection((analysis(),), session=session, session_image=image)
    event = decision_event(given, verdict_on(given.finding, Policy()), Policy(), APPENDED_AT_MS)
    assert violations(orjson.loads(encode(event)), DECISION_SCHEMA) == []
    return event["result"]["session_image"]


def test_decision_names_the_image():
    image = SessionImage(frame=3, sha256=DIGEST, published=True, reason="")
    assert shown(TERMS, image) == {"frame": 3, "sha256": DIGEST, "published": True, "reason": ""}
    assert shown(TERMS, None) == {"frame": None, "sha256": None, "published": False, "reason": "no_face"}
    assert shown(None, None) is None


def test_detections_carry_the_image():
    sent = detection(session=TERMS, session_image=SessionImage(frame=0, sha256=DIGEST, published=True, reason=""))
    assert decode_detection(encode_detection(sent)) == sent
    assert b"session_image" not in encode_detection(detection())


@pytest.mark.parametrize(
    "image",
    [
        {"frame": 0, "sha256": DIGEST, "published": False, "reason": ""},
        {"frame": 0, "sha256": DIGEST, "published": True, "reason": "no_key"},
        {"frame": 0, "sha256": None, "published": True, "reason": ""},
        {"frame": 12, "sha256": DIGEST, "published": True, "reason": ""},
        {"frame": 0, "sha256": "x", "published": True, "reason": ""},
    ],
)
def test_stranger_image_is_refused(image):
    document = orjson.loads(encode_detection(detection()))
    with pytest.raises(DetectionError):
        decode_detection(orjson.dumps({**document, "session_image": image}))


def with_terms(terms, analyser=None):
    """Pipeline that takes sessions, by the terms that admission found."""
    pipeline = Pipeline(analyser or FakeAnalyser())
    changes = {"admission": Admits(terms), "images": images(), "sessions": True}
    pipeline.detect_stage = replace(pipeline.detect_stage, **changes)
    return pipeline


async def test_picture_goes_before_the_detection():
    picture, sent = await with_terms(WANTED).detect(bare(session_token="t", tenant="bank"))
    assert (picture.topic, sent.topic) == ("images", "detections")
    found = decode_detection(sent.value)
    assert (found.session_image.published, found.session, found.capture.attestation) == (True, WANTED, "not_attested")


@pytest.mark.parametrize("terms", [None, TERMS])
async def test_nothing_is_published_unasked(terms):
    (sent,) = await with_terms(terms).detect(bare(session_token="t", tenant="bank"))
    assert sent.topic == "detections"


async def test_no_image_of_what_was_not_analysed():
    (sent,) = await with_terms(WANTED, FakeAnalyser(NO_FACE)).detect(bare(session_token="t", tenant="bank"))
    assert decode_detection(sent.value).session_image == NOTHING
