"""`liveness submit` with a session's token: a statement that intake and the session's key take."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from typer.testing import CliRunner

from config.policy import Policy
from detectors.contract import Frame
from stream.cli import app
from stream.cli.sessions.asking import _jwk
from stream.cli.submit import submitting as submit
from stream.events.message.findings import Attestation
from stream.events.message.messages import Record, Submission
from stream.events.message.session_terms import FrameContext
from stream.events.wire.submissions import Form
from stream.pipeline.capture.attestation import capture_finding
from stream.pipeline.intake import intake
from tests.unit.stream.builders import APPENDED_AT_MS, IMAGE, OTHER_IMAGE
from tests.unit.stream.encryption.statements import NONCE, SESSION, text_of
from tests.unit.stream.pipeline.capture.test_attestation import TERMS

TOKEN = f"{text_of(b'x')}.{text_of(orjson.dumps({'sid': SESSION, 'jti': NONCE}))}.{text_of(b'y')}"


@pytest.fixture
def sent(monkeypatch):
    """Records that the command would publish."""
    kept = []

    async def keep(settings, sendings, *rest):
        kept.extend(output for each in sendings for output in each.outputs)
        return 0

    monkeypatch.setattr(submit, "_submit", keep)
    return kept


@pytest.fixture
def selfie(tmp_path):
    (tmp_path / "selfie.jpg").write_bytes(IMAGE)
    return str(tmp_path / "selfie.jpg")


def run(*options):
    return CliRunner().invoke(app, ["submit", *options])


def read(output) -> Submission:
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
    attested = ("--session-token", TOKEN, "--capture-key", key, "--channel", "android")
    assert run(selfie, *attested, "--form", str(form)).exit_code == 0
    found = capture_finding(read(sent[0]), replace(TERMS, capture_key=made.stdout))
    assert (found.attestation, found.channel) == (Attestation.ATTESTED, "android")
    assert orjson.loads((tmp_path / "phone.json").read_bytes())["d"] not in made.output


def test_token_alone(sent, selfie):
    assert run(selfie, "--session-token", TOKEN).exit_code == 0
    submission = read(sent[0])
    assert (submission.session_token, submission.capture_attestation) == (TOKEN, None)


@pytest.mark.parametrize("form", ["structured", "bare", "module"])
def test_reference(tmp_path, sent, selfie, form):
    (tmp_path / "reference.png").write_bytes(OTHER_IMAGE)
    reference = ("--reference", str(tmp_path / "reference.png"))
    assert run(selfie, "--session-token", TOKEN, *reference, "--form", form).exit_code == 0
    assert read(sent[0]).reference == Frame(OTHER_IMAGE)
    for wrong in (("--form", form), ("--form", "binary", "--session-token", TOKEN)):
        assert run(selfie, *reference, *wrong).exit_code == 2


@pytest.fixture
def frames(tmp_path):
    """Eight frames and the file that lists them."""
    listed = [{"file": f"{number}.jpg", "challenge": "smile", "at_ms": 300 * number} for number in range(8)]
    listed[3] = {"file": "3.jpg", "challenge": "light", "at_ms": 900, "colour": 2}
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(IMAGE + bytes([number]))
    (tmp_path / "capture.json").write_bytes(orjson.dumps({"frames": listed}))
    return tmp_path / "capture.json"


@pytest.mark.parametrize(("form", "records"), [("binary", 8), ("structured", 1), ("bare", 1)])
def test_frames_in_every_form(tmp_path, sent, frames, form, records):
    """A statement is for all frames, whether these travel in one record or each in its own."""
    made = CliRunner().invoke(app, ["keys", "capture", "phone", "--folder", str(tmp_path)])
    key = ("--capture-key", str(tmp_path / "phone.json"))
    assert run("--frames", str(frames), "--session-token", TOKEN, *key, "--form", form).exit_code == 0
    submissions = [read(output) for output in sent]
    assert len({each.ids for each in submissions}) == 1
    assert [each.part.frame_index if each.part else None for each in submissions] == (
        list(range(8)) if records == 8 else [None]
    )
    shown = [frame.image[-1] for each in submissions for frame in each.frames]
    contexts = [context for each in submissions for context in each.contexts]
    assert (len(submissions), shown) == (records, list(range(8)))
    assert contexts[2:4] == [
        FrameContext(challenge="smile", at_ms=600),
        FrameContext(challenge="light", at_ms=900, colour=2),
    ]
    terms = replace(TERMS, capture_key=made.stdout)
    assert {capture_finding(each, terms).attestation for each in submissions} == {Attestation.ATTESTED}


MISTAKES = {
    "too few": '{"frames": []}',
    "unknown challenge": '{"frames": [' + ", ".join(['{"file": "0.jpg", "challenge": "wink", "at_ms": 0}'] * 8) + "]}",
    "no such picture": '{"frames": [' + ", ".join(['{"file": "none.jpg", "at_ms": 0}'] * 8) + "]}",
    "no JSON": "frames",
}


@pytest.mark.parametrize("content", MISTAKES.values(), ids=MISTAKES)
def test_wrong_capture_file(sent, frames, content):
    frames.write_text(content)
    refused = run("--frames", str(frames), "--session-token", TOKEN)
    assert (refused.exit_code, sent) == (2, [])


def test_frames_need_a_token_and_no_pictures(sent, selfie, frames):
    assert "--session-token" in run("--frames", str(frames)).output
    assert run(selfie, "--frames", str(frames), "--session-token", TOKEN).exit_code == 2
    assert run("--frames", str(frames), "--session-token", TOKEN, "--form", "module").exit_code == 2
    assert run().exit_code == 2
    assert sent == []


def test_wrong_options(tmp_path, sent, selfie):
    (tmp_path / "key.json").write_text("{}")
    key = str(tmp_path / "key.json")
    assert "needs" in run(selfie, "--capture-key", key).output
    assert run(selfie, "--session-token", TOKEN, "--capture-key", key).exit_code == 2
    assert CliRunner().invoke(app, ["keys", "capture", "k", "--folder", str(tmp_path)]).exit_code == 0
    assert run(selfie, "--session-token", "x", "--capture-key", str(tmp_path / "k.json")).exit_code == 2
    assert sent == []


def test_token_names_person_session_and_tenant(sent, selfie):
    """Unless the options do."""
    person, other = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    claims = {"sub": person, "sid": SESSION, "tenant": "acme", "jti": NONCE}
    token = f"{text_of(b'x')}.{text_of(orjson.dumps(claims))}.{text_of(b'y')}"
    assert run(selfie, "--session-token", token).exit_code == 0
    assert run(selfie, "--session-token", token, "--correlation-id", other, "--tenant", "other").exit_code == 0
    for text in ("x", "a.b.c", f"a.{text_of(b'[]')}.c", f"a.{text_of(b'{')}.c"):
        assert run(selfie, "--session-token", text).exit_code == 0
    found = [read(each) for each in sent[:2]]
    assert [(each.ids.correlation_id, each.ids.session_id, each.ids.tenant) for each in found] == [
        (person, SESSION, "acme"),
        (other, SESSION, "other"),
    ]


def test_private_key_goes_into_no_command(tmp_path):
    """A session is created with the client's public key alone."""
    made = CliRunner().invoke(app, ["keys", "capture", "phone", "--folder", str(tmp_path)])
    refused = CliRunner().invoke(app, ["sessions", "create", "--capture-key", str(tmp_path / "phone.json")])
    assert refused.exit_code == 2
    assert "private key" in refused.output
    (tmp_path / "public.json").write_text(made.stdout)
    assert set(_jwk(tmp_path / "public.json")) == {"kty", "crv", "x"}
    (tmp_path / "none.json").write_text("{}")
    assert CliRunner().invoke(app, ["sessions", "create", "--capture-key", str(tmp_path / "none.json")]).exit_code == 2
