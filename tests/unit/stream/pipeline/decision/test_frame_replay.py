"""Frames of an active check that another session showed: from the detect stage through the join to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from abuse.keys.key_periods import HashKey
from abuse.pictures.frame_index import Capture, InMemoryFrameIndex, ShownBefore
from abuse.pictures.media_keys import KeyedImageHashes, MediaKeys
from detectors.contract import PictureHashes
from stream.events.message.messages import Detection
from stream.events.wire.detection_codec import decode_detection, encode_detection
from stream.pipeline.decision.frame_replay import capture_of, replayed
from tests.unit.stream.builders import analysis, bare, detection, read
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.verdict.test_session_verdict import PASSIVE, TERMS, checked


def hashes(number: int) -> KeyedImageHashes:
    return KeyedImageHashes(key_id="k1", bytes=number, pixels=number, perceptual=number)


CAPTURE = Capture(
    tenant=None,
    correlation_id="c",
    session_id="s",
    submission_id="i",
    hashes=tuple(map(hashes, range(8))),
)
SHOWN = {
    "nothing": (ShownBefore(), False),
    "one frame's pixels": (ShownBefore(pixels=1, perceptual=1), True),
    "a few alike": (ShownBefore(perceptual=3), False),
    "half alike": (ShownBefore(perceptual=4), True),
}


@pytest.mark.parametrize(("shown", "expected"), SHOWN.values(), ids=SHOWN)
def test_replayed(shown, expected):
    assert replayed(shown, CAPTURE) is expected


def test_frozen_frames_are_one_frame():
    """A capture of one picture all along is a replay when the picture is known."""
    frozen = replace(CAPTURE, hashes=(hashes(1),) * 8)
    assert replayed(ShownBefore(perceptual=1), frozen)


def with_hashes(**changes: object) -> Detection:
    return replace(checked(), **{"frame_hashes": CAPTURE.hashes, **changes})


def test_active_checks_alone_are_captures():
    assert capture_of(with_hashes()) is not None
    assert capture_of(with_hashes(session=PASSIVE)) is None
    assert capture_of(with_hashes(session=None)) is None
    assert capture_of(checked()) is None


def test_hashes_travel_with_the_detection():
    found = with_hashes()
    assert decode_detection(encode_detection(found)).frame_hashes == CAPTURE.hashes
    assert b"frame_hashes" not in encode_detection(detection())


def test_hashes_of_each_frame():
    """Every frame with a picture is hashed under the tenant's key, and none without hash keys."""
    submission = read(bare())
    submission = replace(submission, frames=submission.frames * 3)
    shown = [replace(analysis(), picture=PictureHashes(pixels_sha256=f"{n:064x}", perceptual=n)) for n in (1, 2)]
    marker = Pipeline().detect_stage.marker
    found = marker.frame_hashes(submission, [*shown, analysis()])
    assert len(found) == 2
    assert len({each.pixels for each in found}) == 2
    assert len({each.bytes for each in found}) == 1
    assert replace(marker, keys=None).frame_hashes(submission, shown) == ()


async def test_recorded_before_a_change_of_keys():
    """Hashed under both keys, claimed under the new one: half of the recorded frames are enough, as ever."""
    submission = read(bare())
    submission = replace(submission, frames=submission.frames * 4)
    at_ms = submission.appended_at_ms

    def under(*keys: HashKey, frames: Sequence[int]) -> Capture:
        """Frames by their perceptual hashes; no two pixels are the same."""
        pictures = [PictureHashes(pixels_sha256=f"{n + 100 * len(keys):064x}", perceptual=n) for n in frames]
        marker = Pipeline().detect_stage.marker
        assert marker.keys is not None
        marker = replace(marker, keys=replace(marker.keys, pictures=MediaKeys(keys, reach_ms=1000)))
        shown = [replace(analysis(), picture=each) for each in pictures]
        found = with_hashes(frame_hashes=marker.frame_hashes(submission, shown))
        capture = capture_of(decode_detection(encode_detection(found)))
        assert capture is not None
        return replace(capture, session_id=f"session-{len(keys)}")

    first, second = HashKey(id="k1", secret=b"a" * 32), HashKey(id="k2", secret=b"b" * 32, since_ms=at_ms)
    index = InMemoryFrameIndex()
    recorded, again = under(first, frames=(1, 2, 3, 4)), under(first, second, frames=(1, 2, 7, 8))
    assert {each.key_id for each in again.hashes} == {"k2"}
    await index.claim(recorded, at_ms - 1)
    shown = await index.claim(again, at_ms)
    assert shown == ShownBefore(perceptual=2)
    assert replayed(shown, again)


async def test_second_session_with_the_frames_is_a_spoof():
    pipeline, index = Pipeline(), InMemoryFrameIndex()
    stage = replace(pipeline.decide_stage, frames=index, face_bound=0.6)
    first = with_hashes()
    other = with_hashes(
        ids=replace(first.ids, submission_id="sub-2"),
        fingerprint="f" * 32,
        session=replace(TERMS, session_id="ls_2"),
    )
    verdicts = [(await stage.decide(each)).decision for each in (first, first, other)]
    assert [b"frames_of_another_session" in each for each in verdicts] == [False, False, True]
