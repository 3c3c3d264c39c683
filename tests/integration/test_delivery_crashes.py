"""Pictures that crash, hang or wait too long: each costs itself alone, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from config.catalogues.error_codes import ErrorCode
from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.pipeline.detection.detect_stage import SLOT_CRASH_REASON
from tests.e2e.abuse_cases import error_code
from tests.e2e.analysers import marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, policy_file
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

BYSTANDERS = 10


async def errors_by_submission(installation: Installation) -> dict[str, str | None]:
    """Error codes by submission; None where the decision has no error."""
    events = await installation.events(Topic.DECISIONS)
    return {event["submission_id"]: error_code(event) for event in events}


def around(hostile: list[NewSubmission]) -> list[NewSubmission]:
    """The hostile ones in the middle of harmless ones."""
    harmless = [submission(plain_picture()) for _ in range(BYSTANDERS)]
    half = BYSTANDERS // 2
    return [*harmless[:half], *hostile, *harmless[half:]]


async def test_crash_costs_itself_alone(install: MakeInstallation) -> None:
    """The crash gets a dead letter and INFERENCE_ERROR, an exception INFERENCE_ERROR, and all others are decided."""
    installation = await install(partitions=1, detection__slots="2")
    crash = submission(marked(plain_picture(), "crash"), client_ip="203.0.113.7")
    raising = submission(marked(plain_picture(), "raise", "secret-words"))
    worker = await installation.workers.start(SCRIPTED).ready()
    await installation.publish(around([crash, raising]))
    await installation.drained()

    report = await installation.sound_report()
    assert (report.decided, report.dead_lettered) == (BYSTANDERS + 2, 1)
    errors = await errors_by_submission(installation)
    assert errors.pop(crash.submission_id) == ErrorCode.INFERENCE_ERROR
    assert errors.pop(raising.submission_id) == ErrorCode.INFERENCE_ERROR
    assert Counter(errors.values()) == {None: BYSTANDERS}
    (letter,) = await installation.records(Topic.DEAD_LETTER)
    assert_letter_of(letter, crash, installation)
    assert worker.code is None


def assert_letter_of(letter: Record, crash: NewSubmission, installation: Installation) -> None:
    """Bytes and key unchanged; why and from where in the headers; nothing personal."""
    sent = submission_output(crash, installation.topic(Topic.SUBMISSIONS))
    assert (letter.key, letter.value) == (sent.key, sent.value)
    headers = dict(letter.headers)
    assert headers["reason"] == SLOT_CRASH_REASON.encode()
    assert headers["source_topic"] == sent.topic.encode()
    assert headers["ce_subject"] == crash.submission_id.encode()
    assert not any(b"203.0.113.7" in value for value in headers.values())


async def test_hang_is_a_detector_timeout(install: MakeInstallation, tmp_path: Path) -> None:
    installation = await install(
        partitions=1, detection__slots="2", policy_file=policy_file(tmp_path, detector_s=1, event_s=20)
    )
    hanging = submission(marked(plain_picture(), "hang"))
    await installation.workers.start(SCRIPTED).ready()
    await installation.publish(around([hanging]))
    report = await installation.sound_report()
    assert report.dead_lettered == 0
    errors = await errors_by_submission(installation)
    assert errors.pop(hanging.submission_id) == ErrorCode.DETECTOR_TIMEOUT
    assert Counter(errors.values()) == {None: BYSTANDERS}


async def test_slow_pool_meets_event_deadline(install: MakeInstallation, tmp_path: Path) -> None:
    """Three pictures hang in one slot: the last waits for a slot longer than an event may take."""
    installation = await install(
        partitions=1, detection__read_ahead="4", policy_file=policy_file(tmp_path, detector_s=3, event_s=6)
    )
    hanging = [submission(marked(plain_picture(), "hang")) for _ in range(3)]
    await installation.workers.start(SCRIPTED).ready()
    await installation.publish(hanging)
    await installation.sound_report()
    codes = Counter((await errors_by_submission(installation)).values())
    assert sum(codes.values()) == len(hanging)
    assert codes[ErrorCode.DETECTOR_TIMEOUT] >= 1
    assert codes[ErrorCode.SERVER_ERROR] >= 1
    assert set(codes) == {ErrorCode.DETECTOR_TIMEOUT, ErrorCode.SERVER_ERROR}
