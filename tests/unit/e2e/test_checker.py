"""The checker finds each way in which delivery can fail, and nothing where it didn't."""

from __future__ import annotations

import dataclasses
import itertools

import orjson
import pytest

from config.policy import ImageLimits
from stream.events.dead_letter import dead_letter
from stream.events.ids import request_id
from stream.events.messages import Output, Poison, Record
from stream.events.submissions import NewSubmission, submission_output
from stream.pipeline import intake
from tests.e2e.checker import Report, check

SUBMISSIONS, DECISIONS, DEAD_LETTERS = "p.liveness.submissions", "p.liveness.decisions", "p.liveness.dead-letter"
_offsets = itertools.count()


def on_topic(output: Output, offset: int | None = None) -> Record:
    return Record(
        topic=output.topic,
        partition=0,
        offset=next(_offsets) if offset is None else offset,
        key=output.key,
        value=output.value,
        headers=output.headers,
        appended_at_ms=1,
    )


def submitted(image: bytes = b"picture", **ids: str) -> Record:
    return on_topic(submission_output(NewSubmission(image=image, **ids), SUBMISSIONS))


def decided(record: Record, **changed: object) -> Record:
    """The decision on a submission as a worker publishes it."""
    read = intake.read(record, ImageLimits())
    assert not isinstance(read, Poison)
    name = request_id(read.ids, read.fingerprint)
    event = {"submission_id": read.ids.submission_id, "request_id": name, "timestamp": "then"} | changed
    output = Output(topic=DECISIONS, key=record.key, value=orjson.dumps(event), headers=())
    return on_topic(output)


def letter(record: Record) -> Record:
    return on_topic(dead_letter(record, DEAD_LETTERS, reason="WHY", message="why", max_bytes=15 * 1024 * 1024))


def poison() -> Record:
    return on_topic(Output(topic=SUBMISSIONS, key=None, value=b"\xff\xfe", headers=()))


def checked(submissions: list[Record], decisions: list[Record], letters: list[Record] | None = None) -> Report:
    return check(submissions, decisions, letters or [], {"submissions": 0, "detections": 0})


def test_one_decision_each_is_sound() -> None:
    records = [submitted() for _ in range(3)]
    report = checked(records, [decided(record) for record in records])
    assert report.sound
    assert (report.submissions, report.decided, report.duplicates) == (3, 3, 0)


def test_an_empty_installation_is_sound() -> None:
    assert checked([], []).sound


def test_a_submission_without_a_decision_is_lost() -> None:
    records = [submitted(), submitted()]
    report = checked(records, [decided(records[0])])
    assert set(report.problems) == {"lost"}
    assert len(report.lost) == 1


def test_identical_decisions_are_counted_as_duplicates() -> None:
    record = submitted()
    decision = decided(record)
    report = checked([record], [decision, dataclasses.replace(decision, offset=next(_offsets)), decision])
    assert report.sound
    assert report.duplicates == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda decision: dataclasses.replace(decision, value=(decision.value or b"") + b" "),
        lambda decision: dataclasses.replace(decision, key=b"another"),
        lambda decision: dataclasses.replace(decision, headers=(("ce_id", b"another"),)),
    ],
    ids=["value", "key", "headers"],
)
def test_two_different_decisions_conflict(other) -> None:
    record = submitted()
    decision = decided(record)
    report = checked([record], [decision, other(decision)])
    assert set(report.problems) == {"conflicting"}
    assert report.duplicates == 0


def test_a_decision_nobody_asked_for_is_unknown() -> None:
    record, stranger = submitted(), submitted()
    report = checked([record], [decided(record), decided(stranger)])
    assert set(report.problems) == {"unknown"}


def test_a_decision_that_is_no_event_is_unknown() -> None:
    junk = on_topic(Output(topic=DECISIONS, key=None, value=b"[]", headers=()))
    assert set(checked([], [junk]).problems) == {"unknown"}


def test_a_decision_about_somebody_else_is_misattributed() -> None:
    record = submitted()
    assert set(checked([record], [decided(record, submission_id="other")]).problems) == {"misattributed"}


def test_a_repeated_submission_needs_one_decision() -> None:
    ids = {"submission_id": "s1", "correlation_id": "6f1c1c1e-0000-4000-8000-000000000001"}
    first, again = submitted(**ids), submitted(**ids)
    report = checked([first, again], [decided(first)])
    assert report.sound
    assert report.submissions == 1


def test_other_content_under_a_used_id_needs_a_decision_of_its_own() -> None:
    ids = {"submission_id": "s1", "correlation_id": "6f1c1c1e-0000-4000-8000-000000000001"}
    first, other = submitted(b"one", **ids), submitted(b"two", **ids)
    assert len(checked([first, other], [decided(first)]).lost) == 1
    assert checked([first, other], [decided(first), decided(other)]).sound


def test_a_dead_letter_accounts_for_a_record_that_names_nobody() -> None:
    record = poison()
    assert len(checked([record], []).lost) == 1
    report = checked([record], [], [letter(record)])
    assert report.sound
    assert report.dead_lettered == 1


def test_repeated_dead_letters_are_duplicates() -> None:
    record = poison()
    report = checked([record], [], [letter(record), letter(record)])
    assert report.sound
    assert report.duplicates == 1


def test_a_crash_has_a_decision_and_a_dead_letter() -> None:
    record = submitted()
    report = checked([record], [decided(record)], [letter(record)])
    assert report.sound
    assert (report.decided, report.dead_lettered) == (1, 1)


def test_a_dead_letter_with_other_bytes_is_altered() -> None:
    record = poison()
    changed = dataclasses.replace(letter(record), value=b"\xff")
    assert set(checked([record], [], [changed]).problems) == {"altered_dead_letters"}


def test_a_dead_letter_of_no_submission_is_unknown() -> None:
    report = checked([], [], [letter(poison())])
    assert set(report.problems) == {"unknown"}
    assert report.duplicates == 0


@pytest.mark.parametrize("topic", ["submissions", "detections"])
def test_unread_records_are_a_problem(topic: str) -> None:
    report = check([], [], [], {"submissions": 0, "detections": 0} | {topic: 1})
    assert report.problems == {"lag": {topic: 1}}
