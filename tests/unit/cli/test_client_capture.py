"""`liveness submit` with a session's token: a statement that intake and the session's key take."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from typer.testing import CliRunner

from config.policy import Policy
from stream.cli import app, submit
from stream.events.capture import Attestation
from stream.events.messages import Record, Submission
from stream.events.submissions import Form, submission_output
from stream.pipeline import intake
from stream.pipeline.attestation import capture_finding
from tests.unit.stream.builders import APPENDED_AT_MS, IMAGE
from tests.unit.stream.encryption.statements import NONCE, SESSION, text_of
from tests.unit.stream.pipeline.test_attestation import TERMS

TOKEN = f"{text_of(b'x')}.{text_of(orjson.dumps({'sid': SESSION, 'jti': NONCE}))}.{text_of(b'y')}"


@pytest.fixture
def sent(monkeypatch):
    """Submissions that the command would publish."""
    kept = []

    async def keep(settings, new, *rest):
        kept.extend(submission for _, submission in new)
        return 0

    monkeypatch.setattr(submit, "_submit", keep)
    return kept


@pytest.fixture
def selfie(tmp_path):
    (tmp_path / "selfie.jpg").write_bytes(IMAGE)
    return str(tmp_path / "selfie.jpg")


def run(*options):
    return CliRunner().invoke(app, ["submit", *options])


def read(new, form) -> Submission:
    output = submission_output(new, "liveness.submissions", form)
    place = {"topic": output.topic, "partition": 0, "offset": 0, "appended_at_ms": APPENDED_AT_MS}
    found = intake.read(
        Record(**place, key=output.key, value=output.value, headers=output.headers), Policy().image, sessions=True
    )
    assert isinstance(found, Submission), found
    return found


@pytest.mark.parametrize("form", Form)
def test_attested_in_every_form(tmp_path, sent, selfie, form):
    made = CliRunner().invoke(app, ["keys", "capture", "phone", "--folder", str(tmp_path)])
    assert made.exit_code == 0
    key = str(tmp_path / "phone.json")
    assert run(selfie, "--session-token", TOKEN, "--capture-key", key, "--channel", "android").exit_code == 0
    found = capture_finding(read(sent[0], form), replace(TERMS, capture_key=made.stdout))
    assert (found.attestation, found.channel) == (Attestation.ATTESTED, "android")
    assert orjson.loads((tmp_path / "phone.json").read_bytes())["d"] not in made.output


def test_token_alone(sent, selfie):
    assert run(selfie, "--session-token", TOKEN).exit_code == 0
    assert sent[0].optional == {"session_token": TOKEN}


def test_wrong_options(tmp_path, sent, selfie):
    (tmp_path / "key.json").write_text("{}")
    key = str(tmp_path / "key.json")
    assert "needs" in run(selfie, "--capture-key", key).output
    assert run(selfie, "--session-token", TOKEN, "--capture-key", key).exit_code == 2
    assert CliRunner().invoke(app, ["keys", "capture", "k", "--folder", str(tmp_path)]).exit_code == 0
    assert run(selfie, "--session-token", "x", "--capture-key", str(tmp_path / "k.json")).exit_code == 2
    assert sent == []
