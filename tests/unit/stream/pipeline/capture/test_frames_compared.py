"""Frames compared within a submission: repeated pixels, distances of faces, and the pictures a group names."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from abuse.faces.protected_template import Distance
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from config.policy import Policy
from detectors.contract import Frame, PictureHashes, Template
from stream.events.message.messages import Detection, Submission
from stream.events.message.session_terms import FrameContext, FramePart
from stream.events.wire.detection_codec import decode_detection, encode_detection
from stream.pipeline.capture.compared_frames import between, compared_frames, content_of
from stream.pipeline.capture.marking import model_id
from stream.pipeline.detection import detect_stage
from tests.unit.stream.builders import IMAGE, OTHER_IMAGE, analysis, bare, detection, ids, read
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.join_cases import DEPTH, Fleet, frame, group_part, sent

MODEL = model_id("net", "cd" * 32)


def repeats(found: Detection) -> tuple[int | None, ...]:
    """Index of the first frame with the same pixels as each frame, if there is an earlier one."""
    first = [None if each is None else found.pixels.index(each) for each in found.pixels]
    return tuple(None if place == index else place for index, place in enumerate(first))


def face(*numbers: float) -> Template:
    return Template(model="net", model_sha256="cd" * 32, vector=np.array(numbers, "<f4").tobytes())


def picture(mark: str) -> PictureHashes:
    return PictureHashes(pixels_sha256=mark * 64, perceptual=0)


FRAMES = [
    analysis(picture=picture("a")),
    analysis(template=face(1, 0), picture=picture("b")),
    analysis(template=face(0, 1), picture=picture("a")),
    analysis(template=face(0, 0), picture=picture("a")),
    analysis(template=face(1, 0, 0)),
]


def test_frames_of_one_event():
    found = compared_frames(ids(), FRAMES, {})
    assert found.face_distances == pytest.approx((None, 0.0, 2**0.5, None, None))
    assert compared_frames(ids(), FRAMES, {MODEL: Distance.COSINE}).face_distances[2] == pytest.approx(1.0)
    made = detection(tuple(FRAMES), pixels=found.pixels)
    assert repeats(made) == (None, None, 0, 0, None)


def test_pixels_are_bound_to_the_submission():
    mine, others = (compared_frames(each, FRAMES, {}).pixels for each in (ids(), ids(submission_id="sub-2")))
    assert not {*mine} & {*others} - {None}
    assert "a" * 64 not in repr(mine)


def test_distances_survive_protection():
    """The distance of two rotated templates is that of the plain ones; under two keys there is none."""
    faces = [np.random.default_rng(seed).normal(0, 0.1, 128).astype("<f4") for seed in range(2)]
    keys = TemplateProtection([HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=10)], 1)
    first, second, later = (keys.transform("t", MODEL, faces[n].tobytes(), at) for n, at in ((0, 0), (1, 0), (1, 10)))
    expected = float(np.linalg.norm(faces[0].astype(float) - faces[1]))
    assert between([None, first, second, later], {}) == pytest.approx((None, 0.0, expected, None), abs=0.002)
    assert between([None, None], {}) == (None, None)


def submission(*images: bytes, **changes: object) -> Submission:
    one = read(bare())
    assert isinstance(one, Submission)
    digest = hashlib.sha256(images[0]).hexdigest()
    return replace(one, frames=tuple(Frame(each) for each in images), image_sha256=digest, **changes)


def test_content_is_what_a_group_names():
    digests = tuple(hashlib.sha256(each).hexdigest() for each in (IMAGE, OTHER_IMAGE))
    assert content_of(submission(IMAGE, OTHER_IMAGE)) == group_part(image_sha256=digests).content
    assert content_of(submission(IMAGE)) != content_of(submission(OTHER_IMAGE))


async def detected(monkeypatch, pipeline, given):
    monkeypatch.setattr(detect_stage.intake, "read", lambda *_, **__: given)
    (output,) = await pipeline.detect(bare())
    return decode_detection(output.value)


async def test_detection_of_several_frames(monkeypatch):
    found = analysis(template=face(*np.linspace(-1, 1, 128)), picture=picture("a"))
    pipeline = Pipeline(FakeAnalyser(found), policy=DEPTH)
    contexts = (FrameContext(), FrameContext(challenge="smile", at_ms=40))
    made = await detected(monkeypatch, pipeline, submission(IMAGE, IMAGE, contexts=contexts))
    assert (made.face_distances, repeats(made), made.contexts) == ((0.0, 0.0), (None, 0), contexts)
    assert (made.part, made.content) == (None, content_of(submission(IMAGE, IMAGE)))


async def test_detection_of_a_part(monkeypatch):
    found = analysis(template=face(*np.linspace(-1, 1, 128)), picture=picture("a"))
    part = FramePart(frame_index=3, frame_count=8)
    made = await detected(monkeypatch, Pipeline(FakeAnalyser(found)), submission(IMAGE, part=part))
    assert (made.part, made.face_distances, len(made.pixels), made.content) == (part, (), 1, None)
    assert made.references.face is not None


async def test_ordinary_detection_has_none_of_it(monkeypatch):
    made = await detected(monkeypatch, Pipeline(FakeAnalyser(analysis(picture=picture("a")))), submission(IMAGE))
    assert (made.pixels, made.face_distances, made.content, made.part) == ((), (), None, None)


async def test_joined_frames_are_compared(monkeypatch):
    """As in one event: distances by the protected templates, repeats by the digests of pixels."""
    fleet, joined = Fleet(policy=Policy()), []
    stage = type(fleet.workers[0].decide_stage)
    kept = stage.decide

    async def watched(self, given):
        joined.append(given)
        return await kept(self, given)

    monkeypatch.setattr(stage, "decide", watched)
    keys = TemplateProtection([HashKey(id="k1", secret=b"1" * 32)], 1)
    for index in range(8):
        vector = np.full(128, 0.05 * (index + 1), "<f4").tobytes()
        references = detection().references
        if index:
            references = replace(references, face=keys.transform(None, MODEL, vector, 0))
        pixels = ("a" * 32,) if index in (1, 5) else (f"{index:032x}",)
        await fleet.give(sent(frame(index, references=references, pixels=pixels)))
    (whole,) = joined
    expected = [None, *(0.05 * (index - 1) * 128**0.5 for index in range(1, 8))]
    assert whole.face_distances == pytest.approx(tuple(expected), abs=0.01)
    assert repeats(whole) == (None, None, None, None, None, 1, None, None)
    assert whole.references.face is not None


def test_distance_beyond_the_wire():
    made = detection((analysis(), analysis()), face_distances=(0.0, 7.0))
    assert decode_detection(encode_detection(made)).face_distances == (0.0, 2.0)
