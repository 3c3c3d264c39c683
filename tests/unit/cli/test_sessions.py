"""`liveness sessions`: commands sent, what is shown of sessions and their tokens, exit codes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from config.settings import Settings
from stream.bootstrap.authentication import open_macs
from stream.cli import app
from stream.cli.sessions import asking, tenants
from stream.cli.sessions.view import line
from stream.events.authentication.record_mac import NO_MACS
from stream.events.message.session_terms import LivenessMode
from stream.events.topics import Topic
from stream.review.command_client import NoAnswer
from stream.review.commands import read
from stream.review.kinds.sessions import CancelSession, CreateSession
from stream.review.kinds.switch_rules import SwitchRules
from stream.sessions.changes import active_event, created_event, running_event
from stream.sessions.session import SessionAttempt, session_from
from stream.sessions.session_store import SessionName
from tests.unit.cli.abuse_cases import ESCAPE, harmless
from tests.unit.cli.conftest import applied
from tests.unit.stream.builders import GUID, OTHER_GUID
from tests.unit.stream.maintenance.test_rebuild_forged import written
from tests.unit.stream.review.command_cases import record
from tests.unit.stream.sessions.builders import KEY, session_record, token_of

pytestmark = pytest.mark.usefixtures("in_memory")

RECORD = session_record()
TOKEN = token_of(RECORD)
REFUSED = {
    "command": "session.create",
    "command_id": "c-1",
    "tenant": None,
    "at": "2026-11-28T00:00:00.000Z",
    "error": {"code": "CORRELATION_ID_FLAGGED", "message": "no session"},
    "retry_count": 4,
    "open_flags": [{"kind": "face_reuse", "severity": "high", "since": "2026-11-27T00:00:00.000Z"}],
}


#: Session as events and queries show it.
CREATED = {
    "session_id": "ls_1",
    "state": "created",
    "liveness_mode": "passive",
    "attempts": {"used": 1, "allowed": 1},
    "correlation_id": GUID,
    "tenant": None,
    "expires_at": "2026-11-28T00:00:00.000Z",
    "result": None,
}


def kept(store, made) -> Any:
    return asyncio.run(store.create(made))


def created(store) -> dict[str, Any]:
    session = session_from(kept(store, RECORD))
    assert session is not None
    return created_event(session, TOKEN).document


def run(*words: str):
    return CliRunner().invoke(app, ["sessions", *words])


@pytest.fixture
def answer(monkeypatch):
    """Commands asked, and the answer that comes."""
    seen: dict[str, Any] = {}

    async def ask_session(settings, command, key, timeout_s, _):
        seen.update(command=command, key=key)
        if isinstance(seen["answer"], Exception):
            raise seen["answer"]
        return seen["answer"]

    monkeypatch.setattr(asking, "ask_session", ask_session)
    return seen


def test_create(answer, in_memory):
    answer["answer"] = created(in_memory.sessions)
    ran = run("create", "--correlation-id", GUID.upper())
    assert ran.exit_code == 0
    assert RECORD.session_id in ran.stdout
    assert TOKEN in ran.stdout
    command = read(record(orjson.dumps(answer["command"])))
    assert isinstance(command, CreateSession)
    assert (command.correlation_id, answer["key"], command.tenant) == (GUID, GUID, None)
    assert orjson.loads(run("create", "--json").stdout) == answer["answer"]


@pytest.mark.parametrize(("warnings", "said"), [([], []), (["no_head_turn"], ["without a head turn"]), ([ESCAPE], [])])
def test_create_warns(answer, in_memory, warnings, said):
    answer["answer"] = created(in_memory.sessions) | {"warnings": warnings}
    ran = run("create", "--correlation-id", GUID)
    assert harmless(ran.output)
    assert ("warning: " in ran.output, all(words in ran.output for words in said)) == (bool(warnings), True)


@pytest.mark.parametrize(
    ("asks", "words"), [(True, "asks for smile, head_left\n"), (False, "asks for smile, head_left, once the light is")]
)
def test_create_says_what_is_asked(answer, in_memory, asks, words):
    """A client that reads the screen learns movements and colours in their order."""
    light = {"colours": ["red", "blue", "red", "green"], "colour_ms": 300}
    asked = {"liveness_challenges": ["smile", "head_left"], "asks_challenges": asks, "light_challenge": light}
    answer["answer"] = created(in_memory.sessions) | asked
    ran = run("create", "--correlation-id", GUID)
    assert words in ran.output
    assert "then shows red, blue, red, green, each for 300 ms" in ran.output


def test_line_of_another_person():
    """A session that failed by its reference image alone says so beside a passing score."""
    shown = {"liveness_score": 97.0, "liveness_threshold": 75, "verification": {"is_identical": False}}
    session = {**CREATED, "state": "failed", "result": shown}
    assert "score 97, passes from 75  not the person of the reference image" in line(session).plain
    assert "reference" not in line({**session, "result": shown | {"verification": None}}).plain


def test_every_option_is_sent(answer, in_memory, tmp_path):
    answer["answer"] = created(in_memory.sessions)
    (tmp_path / "phone.json").write_bytes(orjson.dumps(KEY.key.as_dict(private=False)))
    options = {
        "--mode": "active",
        "--threshold": "60",
        "--challenge": "blink",
        "--attempts": "3",
        "--lifetime": "60",
        "--expected-client-ip": "203.0.113.0/24",
        "--device-id": "phone",
        "--request-token": "r-1",
        "--capture-key": str(tmp_path / "phone.json"),
        "--reference": str(tmp_path / "phone.json"),
        "--tenant": "acme",
        "--command-id": "c-7",
    }
    ran = run(
        "create", "--light", "--attested", "--session-image", *(word for pair in options.items() for word in pair)
    )
    assert ran.exit_code == 0
    command = read(record(orjson.dumps(answer["command"])))
    assert isinstance(command, CreateSession)
    asked = command.model_dump(exclude_none=True)
    assert set(CreateSession.model_fields) - set(asked) == {"reference_image"}


def test_refused(answer):
    answer["answer"] = REFUSED
    ran = run("create")
    assert ran.exit_code == 1
    assert "CORRELATION_ID_FLAGGED" in ran.output
    assert "face_reuse (high)" in ran.output
    assert orjson.loads(run("create", "--json").stdout) == REFUSED


def test_no_answer_names_the_command(answer):
    answer["answer"] = NoAnswer("no answer within 15 s")
    ran = run("create", "--command-id", "c-7")
    assert (ran.exit_code, "c-7" in ran.output) == (1, True)


def test_cancel(answer, in_memory):
    answer["answer"] = {**created(in_memory.sessions), "state": "cancelled"}
    ran = run("cancel", RECORD.session_id)
    assert (ran.exit_code, "cancelled" in ran.stdout) == (0, True)
    command = read(record(orjson.dumps(answer["command"])))
    assert isinstance(command, CancelSession)
    assert command.session_id == RECORD.session_id


def test_defaults_of_a_tenant(monkeypatch):
    asked: list[Any] = []

    async def ask(settings, command, key, timeout_s, _):
        asked.append((read(record(orjson.dumps(command))), key))
        return applied(changed={"before": {}, "after": {"sessions": {"required": True}}}, tenant="acme")

    monkeypatch.setattr(tenants, "ask", ask)
    who = ("--actor", "ann", "--reason", "policy", "--tenant", "acme")
    assert run("defaults", *who).exit_code == 2
    options = ("--required", "--mode", "active", "--challenge", "blink", "--attempts", "2", "--lifetime", "60")
    options += ("--require-head-turn",)
    ran = run("defaults", *who, *options, "--threshold", "80")
    assert (ran.exit_code, "required" in ran.stdout) == (0, True)
    ((command, key),) = asked
    assert isinstance(command, SwitchRules)
    assert key == "tenant acme"
    assert command.switches == {
        "sessions": {
            "liveness_mode": "active",
            "liveness_threshold": 80,
            "liveness_challenges": ["blink"],
            "attempts": 2,
            "token_lifetime_s": 60,
            "required": True,
            "require_head_turn": True,
        }
    }


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--correlation-id", "x"),
        ("create", "--challenge", "nod"),
        ("create", "--challenge", "blink", "--challenge", "blink"),
        ("create", "--attempts", "4"),
        ("create", "--lifetime", "59"),
        ("create", "--tenant", "a b"),
        ("cancel", "ls_1"),
        ("show", ESCAPE),
        ("list", "--correlation-id", "x"),
    ],
)
def test_wrong_words(words):
    assert run(*words).exit_code == 2


def test_show_and_list(in_memory):
    store = in_memory.sessions
    created(store)
    kept(store, session_record(2, correlation_id=OTHER_GUID, created_s=RECORD.created_s + 1))
    kept(store, session_record(3, tenant="acme"))
    shown = run("show", RECORD.session_id)
    assert (shown.exit_code, "created" in shown.stdout, "jti" in shown.stdout) == (0, True, False)
    assert orjson.loads(run("show", RECORD.session_id, "--json").stdout)["session_id"] == RECORD.session_id
    assert run("show", RECORD.session_id, "--tenant", "acme").exit_code == 1
    listed = [orjson.loads(line)["session_id"] for line in run("list", "--json").stdout.splitlines()]
    assert listed == [session_record(2).session_id, RECORD.session_id]
    assert len(run("list", "--limit", "1").stdout.splitlines()) == 1
    assert len(run("list", "--correlation-id", GUID).stdout.splitlines()) == 1
    assert "No sessions" in run("list", "--tenant", "nobody").output


def test_active_step_is_shown(in_memory, topic):
    """With its time, and with what is asked for now."""
    made = session_record(4, mode=LivenessMode.PASSIVE_ACTIVE, challenges=("blink", "smile"))
    assert "once the light is too strong" in _shown_after(in_memory, made)
    taken = SessionAttempt(fingerprint="f", at_ms=1_700_000_000_000, submission_id="s").to_text()
    shown = _shown_after(in_memory, made, {"attempt:1": taken, "active": "1", "spent": "0"})
    assert "asks for blink, smile" in shown
    assert "once the light is too strong" not in shown
    session = session_from(in_memory.sessions.kept[SessionName(None, made.session_id)])
    assert session is not None
    topic.append(orjson.dumps(active_event(session).document))
    watched = run("watch", "--no-follow").stdout
    assert watched.startswith("2023-11-14T22:13:20")
    assert "the challenges are asked for now" in " ".join(watched.split())


def _shown_after(in_memory, made, fields: dict[str, str] | None = None) -> str:
    name = SessionName(None, made.session_id)
    kept(in_memory.sessions, made)
    asyncio.run(in_memory.sessions.add(name, fields or {}))
    ran = run("show", made.session_id)
    assert ran.exit_code == 0, repr(ran.exception)
    return " ".join(ran.output.split())


def test_watch_shows_no_token(in_memory, topic):
    document = created(in_memory.sessions)
    taken = SessionAttempt(fingerprint="f", at_ms=1, submission_id="s").to_text()
    session = session_from({**in_memory.sessions.kept[next(iter(in_memory.sessions.kept))], "attempt:1": taken})
    assert session is not None
    hostile = orjson.dumps({**document, "state": ESCAPE})
    topic += [orjson.dumps(document), orjson.dumps(running_event(session).document), orjson.dumps(REFUSED)]
    topic += [hostile, b"{", b"[]", b'{"state": 5}', b""]
    for words in ((), ("--json",)):
        ran = run("watch", "--no-follow", *words)
        assert ran.exit_code == 0
        assert TOKEN not in ran.output
        assert "running" in ran.stdout
    assert harmless(run("watch", "--no-follow").output)
    assert ran.output.count("no session event") >= 1


def test_watch_names_forged_records(monkeypatch, in_memory, topic):
    """With record keys, what a worker wrote is shown, and what nobody here wrote is named by its place alone."""
    keys = [{"id": "r1", "secret": "s" * 32}]
    macs = open_macs(Settings.model_validate({"records": {"keys": keys}}))
    document = created(in_memory.sessions)
    forged = orjson.dumps({**document, "correlation_id": OTHER_GUID})
    topic += [written(str(Topic.SESSIONS), orjson.dumps(document), macs), written(str(Topic.SESSIONS), forged, NO_MACS)]
    for given, shown in (("[]", True), (json.dumps(keys), False)):
        monkeypatch.setenv("LIVENESS_RECORDS__KEYS", given)
        ran = run("watch", "--no-follow")
        assert (GUID in ran.stdout, OTHER_GUID in ran.output, "carries no MAC" in ran.output) == (
            True,
            shown,
            not shown,
        )
