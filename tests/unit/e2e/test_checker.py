"""The checker finds each way in which delivery can fail, and nothing where it didn't."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from config.limits.capture import ImageLimits
from stream.events.message.ids import request_id
from stream.events.message.messages import Output, Poison, Record, Submission
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.pipeline.intake import intake
from stream.pipeline.join.joined import fingerprint_of_frames
from tests.e2e.checker import check
from tests.unit.stream.builders import bare

SUBMISSIONS, DECISIONS, DEAD_LETTERS = "p.liveness.submissions", "p.liveness.decisions", "p.liveness.dead-letter"
IDS = {"submission_id": "s1", "correlation_id": "6f1c1c1e-0000-4000-8000-000000000001"}
_offsets = itertools.count()


def on_topic(made: Output) -> Record:
    place = {"topic": made.topic, "partition": 0, "offset": next(_offsets), "appended_at_ms": 1}
    return Record(**place, key=made.key, value=made.value, headers=made.headers)


def submitted(image: bytes = b"picture", **ids: str) -> Record:
    return on_topic(submission_output(NewSubmission(image=image, **ids), SUBMISSIONS))


def decided(record: Record, **changed: object) -> Record:
    read = intake.read(record, ImageLimits())
    assert not isinstance(read, Poison)
    name = request_id(read.ids, read.fingerprint)
    event = {"submission_id": read.ids.submission_id, "request_id": name, "timestamp": "then"} | changed
    return on_topic(Output(topic=DECISIONS, key=record.key, value=orjson.dumps(event), headers=()))


def letter(record: Record) -> Record:
    return on_topic(
        DeadLetters(topic=DEAD_LETTERS, max_bytes=15 * 1024 * 1024).letter(record, reason="WHY", message="why")
    )


ONE, TWO, STRANGER = submitted(), submitted(), submitted()
FIRST, AGAIN, OTHER = submitted(**IDS), submitted(**IDS), submitted(b"another picture", **IDS)
DECISION = decided(ONE)
POISON = on_topic(Output(topic=SUBMISSIONS, key=None, value=b"\xff\xfe", headers=()))
JUNK = on_topic(Output(topic=DECISIONS, key=None, value=b"[]", headers=()))

#: Submissions, decisions, dead letters -> how many of each are counted, and duplicates.
SOUND = {
    "nothing at all": ([], [], [], (0, 0, 0, 0)),
    "a decision each": ([ONE, TWO], [DECISION, decided(TWO)], [], (2, 2, 0, 0)),
    "published again": ([ONE], [DECISION, replace(DECISION, offset=10**6), DECISION], [], (1, 1, 0, 2)),
    "sent again": ([FIRST, AGAIN], [decided(FIRST)], [], (1, 1, 0, 0)),
    "other content under a used id": ([FIRST, OTHER], [decided(FIRST), decided(OTHER)], [], (2, 2, 0, 0)),
    "names nobody, set aside": ([POISON], [], [letter(POISON)], (1, 0, 1, 0)),
    "set aside again": ([POISON], [], [letter(POISON), letter(POISON)], (1, 0, 1, 1)),
    "crashed: decided and set aside": ([ONE], [DECISION], [letter(ONE)], (1, 1, 1, 0)),
}


@pytest.mark.parametrize(("submissions", "decisions", "letters", "counted"), SOUND.values(), ids=SOUND)
def test_sound_delivery(submissions, decisions, letters, counted) -> None:
    report = check(submissions, decisions, letters, {"submissions": 0, "detections": 0})
    assert report.problems == {}
    assert (report.submissions, report.decided, report.dead_lettered, report.duplicates) == counted


UNSOUND = {
    "no decision": ([ONE, TWO], [DECISION], [], "lost"),
    "no decision on other content": ([FIRST, OTHER], [decided(FIRST)], [], "lost"),
    "names nobody, no dead letter": ([POISON], [], [], "lost"),
    "another time": ([ONE], [DECISION, decided(ONE, timestamp="now")], [], "conflicting"),
    "another key": ([ONE], [DECISION, replace(DECISION, key=b"another")], [], "conflicting"),
    "another header": ([ONE], [DECISION, replace(DECISION, headers=(("ce_id", b"x"),))], [], "conflicting"),
    "decided for a stranger": ([ONE], [DECISION, decided(STRANGER)], [], "unknown"),
    "no decision event": ([], [JUNK], [], "unknown"),
    "about somebody else": ([ONE], [decided(ONE, submission_id="other")], [], "misattributed"),
    "dead letter with other bytes": ([POISON], [], [replace(letter(POISON), value=b"\xff")], "altered_dead_letters"),
    "dead letter of a stranger": ([], [], [letter(POISON)], "unknown"),
}


@pytest.mark.parametrize(("submissions", "decisions", "letters", "problem"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_delivery(submissions, decisions, letters, problem) -> None:
    report = check(submissions, decisions, letters, {"submissions": 0, "detections": 0})
    assert [(kind, len(where)) for kind, where in report.problems.items()] == [(problem, 1)]
    assert report.duplicates == 0


@pytest.mark.parametrize("topic", ["submissions", "detections"])
def test_unread_records_are_a_problem(topic: str) -> None:
    report = check([], [], [], {"submissions": 0, "detections": 0} | {topic: 1})
    assert report.problems == {"lag": {topic: 1}}


def frame_sent(index: int, **fields: object) -> Record:
    """A record of one of eight frames."""
    told = bare(session_token="a.b.c", frame_index=index, frame_count=8, **fields)
    return replace(told, topic=SUBMISSIONS, offset=next(_offsets))


FRAMES = [frame_sent(index) for index in range(8)]


def decided_whole(frames: Sequence[Record]) -> Record:
    read = [intake.read(each, ImageLimits(), sessions=True) for each in frames]
    assert all(isinstance(each, Submission) for each in read)
    first = {each.part.frame_index: each.fingerprint for each in read}  # type: ignore[union-attr]
    name = request_id(read[0].ids, fingerprint_of_frames(first, 8))  # type: ignore[union-attr]
    event = {"submission_id": "sub-1", "request_id": name}
    return on_topic(Output(topic=DECISIONS, key=b"k", value=orjson.dumps(event), headers=()))


@pytest.mark.parametrize(
    ("frames", "decisions", "problem"),
    [
        (FRAMES, [decided_whole(FRAMES)], None),
        ([*FRAMES[4:], *FRAMES], [decided_whole(FRAMES)] * 2, None),
        (FRAMES[:5], [decided_whole(FRAMES[:5])], None),
        (FRAMES, [], "lost"),
        (FRAMES, [decided_whole(FRAMES[:7])], "lost"),
        (FRAMES, [decided_whole(FRAMES), decided_whole(FRAMES[:7])], "unknown"),
    ],
    ids=["complete", "twice", "frames missing", "no decision", "decided too early", "decided twice"],
)
def test_record_a_frame(frames, decisions, problem) -> None:
    report = check(frames, decisions, [], {"submissions": 0, "detections": 0}, sessions=True)
    assert (report.submissions, report.sound) == (1, problem is None)
    assert problem is None or problem in report.problems
