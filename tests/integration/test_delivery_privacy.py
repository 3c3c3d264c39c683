"""Personal data leaves by no side door: logs at debug level, metrics, dead-letter headers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.events.topics import Topic
from stream.events.wire.submissions import Form, NewSubmission
from tests.e2e.analysers import marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, policy_file
from tests.e2e.pictures import plain_picture
from tests.e2e.workers import SCRIPTED, Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

ADDRESS = "203.0.113.77"
DEVICE = "device-4f1c9a-of-a-person"
TOKEN = "token-77b0e2-of-a-session"
PERSONAL = {"client_ip": ADDRESS, "device_id": DEVICE}
REFUSED = {**PERSONAL, "session_token": TOKEN}
IN_THE_PICTURE = "words-inside-the-picture"


def picture(command: str) -> bytes:
    return marked(plain_picture(), command, IN_THE_PICTURE)


def forbidden() -> Iterator[bytes]:
    """Personal fields, and pieces of the picture: raw, escaped, in hexadecimal and in base64."""
    yield from (value.encode() for value in REFUSED.values())
    yield IN_THE_PICTURE.encode()
    middle = plain_picture()[600:624]
    yield middle
    yield repr(middle)[2:-1].encode()
    yield middle.hex().encode()
    yield from (base64.b64encode(plain_picture())[start : start + 24] for start in (0, 400, 800))


def assert_nothing_personal(where: str, text: bytes) -> None:
    leaks = [piece for piece in forbidden() if piece in text]
    assert not leaks, f"{where} holds {len(leaks)} of the personal values"


async def publish_every_path(installation: Installation) -> int:
    """Success, an exception in the analyser, a crash, a hang, refused fields, poison: in every form."""
    count = 0
    for form in (Form.BINARY, Form.STRUCTURED, Form.BARE):
        new = [NewSubmission(image=picture(act), optional=PERSONAL) for act in ("none", "raise", "crash")]
        await installation.publish(new, form)
        count += len(new)
    await installation.publish([NewSubmission(image=picture("hang"), optional=PERSONAL)])
    wrong = REFUSED | {"client_ip": f"{ADDRESS}.not-an-address"}
    await installation.publish([NewSubmission(image=picture("none"), optional=wrong)])
    nameless = NewSubmission(image=picture("none"), submission_id="", optional=REFUSED)
    await installation.publish([nameless], Form.BARE)
    return count + 3


async def test_side_doors(install: MakeInstallation, tmp_path: Path) -> None:
    installation = await install(
        partitions=1, log__level="debug", policy_file=policy_file(tmp_path, detector_s=1, event_s=20)
    )
    worker = await installation.workers.start(SCRIPTED).ready()
    published = await publish_every_path(installation)
    report = await installation.sound_report()
    assert report.submissions == published
    assert report.dead_lettered == 4, "three crashes and the nameless one"
    _, metrics = worker.get("/metrics")
    assert "liveness_records_total" in metrics
    assert_quiet(worker, metrics)
    for letter in await installation.records(Topic.DEAD_LETTER):
        headers = b"\n".join(name.encode() + b": " + value for name, value in letter.headers)
        assert b"reason" in headers
        assert_nothing_personal("a dead letter's headers", headers)
    for decision in await installation.records(Topic.DECISIONS):
        assert_nothing_personal("a decision", decision.value or b"")

    await installation.workers.stop()
    buggy = await installation.workers.start(SCRIPTED, "--bug").ready()
    bug = PERSONAL | {"session_id": "bug-in-detect"}
    await installation.publish([NewSubmission(image=picture("none"), optional=bug)])
    await buggy.said("stage_failed", again=False)
    await installation.drained()
    assert_quiet(buggy, "")


def assert_quiet(worker: Worker, metrics: str) -> None:
    assert worker.output, "a silent worker would prove nothing"
    assert_nothing_personal("the log", worker.log.read_bytes())
    assert_nothing_personal("the metrics", metrics.encode())
