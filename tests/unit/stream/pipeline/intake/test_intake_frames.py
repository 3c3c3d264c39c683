"""Several frames in one event, and what belongs to a session: taken with its token, else refused by name."""

from __future__ import annotations

import base64

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from stream.events.message.messages import Rejected, Submission
from stream.events.message.session_terms import FrameContext, FramePart
from stream.pipeline.intake import intake
from tests.unit.stream.builders import IMAGE, OTHER_IMAGE, SECRET, bare, base64_of, binary, ce_headers, record, selfie

TOKEN = "e30.e30.sig"


def frame(number=0, **changes):
    fields = {"image": base64_of(), "challenge": "neutral", "at_ms": number * 300, **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def frames(count=8):
    return [frame(number) for number in range(count)]


def sent(listed, **changes):
    return bare(**{"image": ..., "session_token": TOKEN, "frames": listed, **changes})


def read(given, *, sessions=True, limits=None):
    return intake.read(given, limits or ImageLimits(), sessions=sessions)


def test_frames_in_one_event():
    listed = frames()
    listed[3] = frame(3, image=base64_of(OTHER_IMAGE), challenge="smile")
    listed[4] = frame(4, challenge="light", colour=2)
    submission = read(sent(listed))
    assert isinstance(submission, Submission)
    assert [frame.image for frame in submission.frames] == [IMAGE] * 3 + [OTHER_IMAGE] + [IMAGE] * 4
    assert submission.contexts[3:5] == (
        FrameContext(challenge="smile", at_ms=900),
        FrameContext(challenge="light", at_ms=1200, colour=2),
    )
    assert submission.session_token == TOKEN
    assert TOKEN not in repr(submission)


def test_structured_event_of_frames():
    attributes = {"specversion": "1.0", "type": "liveness.submission.v1", "source": "/app", "id": "event-1"}
    fields = selfie(image=..., session_token=TOKEN, frames=frames())
    submission = read(record(orjson.dumps({**attributes, "data": fields})))
    assert isinstance(submission, Submission)
    assert len(submission.frames) == 8


def test_one_frame_a_record():
    """Attributes of an event are texts, numbers among them."""
    told = {"frameindex": "3", "framecount": "9", "framechallenge": "blink", "frameatms": "950", "sessiontoken": TOKEN}
    submission = read(record(IMAGE, ce_headers(subject="sub-1", correlationid=selfie()["correlation_id"], **told)))
    assert isinstance(submission, Submission)
    assert submission.contexts == (FrameContext(challenge="blink", at_ms=950),)
    assert submission.part == FramePart(frame_index=3, frame_count=9)


WRONG = {
    "too few": (sent(frames(7)), "frames must be a list of 8 to 12 frames"),
    "too many": (sent(frames(13)), "frames must be a list of 8 to 12 frames"),
    "no list": (sent(SECRET), "frames must be a list of 8 to 12 frames"),
    "no object": (sent([*frames(7), SECRET]), "frames: missing or malformed in frame 7: "),
    "unknown challenge": (
        sent([*frames(7), frame(7, challenge=SECRET)]),
        "frames: missing or malformed in frame 7: challenge",
    ),
    "a time": (sent([*frames(7), frame(7, at_ms=-1)]), "frames: missing or malformed in frame 7: at_ms"),
    "a colour that is none": (
        sent([*frames(7), frame(7, colour=8)]),
        "frames: missing or malformed in frame 7: colour",
    ),
    "no image": (sent([*frames(7), frame(7, image=...)]), "image is missing or blank"),
    "an image beside them": (sent(frames(), image=base64_of()), "image and frames are both there: send either"),
    "frames without a token": (
        sent(frames(), session_token=...),
        "these fields need a session's token, session_token: frames",
    ),
    "a frame without a token": (
        bare(frame_index=1, frame_count=8),
        "these fields need a session's token, session_token: frame_count, frame_index",
    ),
    "a token that is none": (bare(session_token=SECRET * 400), "missing or malformed: session_token"),
    "an index beyond the count": (
        bare(session_token=TOKEN, frame_index=8, frame_count=8),
        "frame_index and frame_count come together, and the index is below the count",
    ),
    "a count alone": (
        bare(session_token=TOKEN, frame_count=8),
        "frame_index and frame_count come together, and the index is below the count",
    ),
    "both ways": (
        sent(frames(), frame_index=0, frame_count=8),
        "frames and frame_index are both there: send the frames in one event, or one a record",
    ),
    "an index that is none": (bare(session_token=TOKEN, frame_index=12), "missing or malformed: frame_index"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_refused(given, message):
    answer = read(given)
    assert isinstance(answer, Rejected), answer
    assert answer.error is ErrorCode.INVALID_REQUEST
    assert answer.message.startswith(message)
    assert SECRET not in answer.message


@pytest.mark.parametrize(
    "field",
    [*("session_token", "frames", "frame_index", "frame_challenge"), *("reference_image", "capture_attestation")],
)
def test_without_sessions(field):
    """Fields that can't be honoured are refused by their names, never passed over."""
    answer = read(bare(**{field: TOKEN}), sessions=False)
    assert isinstance(answer, Rejected)
    assert answer.message == f"this service can't do what these fields ask for: {field}"


def test_all_frames_are_one_size():
    """The limit of a picture holds for all frames together."""
    limits = ImageLimits(max_bytes=8 * len(IMAGE))
    assert isinstance(read(sent(frames(8)), limits=limits), Submission)
    answer = read(sent(frames(9)), limits=limits)
    assert isinstance(answer, Rejected)
    assert answer.error is ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    "changed",
    [[frame(0, challenge="smile")], [frame(0, at_ms=1)], [frame(0, image=base64.b64encode(OTHER_IMAGE).decode())]],
    ids=["challenge", "time", "picture"],
)
def test_fingerprint_of_frames(changed):
    """Content is other with another picture, claim or time."""
    given, other = read(sent(frames())), read(sent([*changed, *frames()[1:]]))
    assert isinstance(other, Submission)
    assert given.fingerprint != other.fingerprint


def test_plain_selfie_keeps_its_fingerprint():
    with_sessions, without = read(binary()), read(binary(), sessions=False)
    assert isinstance(without, Submission)
    assert with_sessions.fingerprint == without.fingerprint


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (bare(session_token=TOKEN, image="%", frame_index=3, frame_count=8), FramePart(frame_index=3, frame_count=8)),
        (bare(image="%", frame_index="3", frame_count="8"), FramePart(frame_index=3, frame_count=8)),
        (bare(image="%", frame_index=8, frame_count=8), None),
        (bare(image="%", frame_index=SECRET, frame_count=8), None),
        (bare(image="%", frame_count=8), None),
        (bare(image="%", frame_index=2**63, frame_count=8), None),
        (sent(frames(), frame_index=0, frame_count=8), None),
        (bare(image="%"), None),
    ],
)
def test_place_of_a_rejected_frame(given, part):
    """A rejected frame is answered with the rest of its submission, where its place can be read."""
    answer = read(given)
    assert isinstance(answer, Rejected)
    assert answer.part == part
