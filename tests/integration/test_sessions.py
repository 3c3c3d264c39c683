"""Sessions on real services: a token is good for its session's attempts, whatever the fleet goes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.encryption.reviewer_keys import new_signing_key
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from stream.review.command_client import ask
from tests.e2e.abuse_cases import ANSWER_S, HASH_KEYS, LIVE, decided, picture
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


def key_folder(folder: Path) -> Path:
    (folder / "2026-11.json").write_bytes(orjson.dumps(new_signing_key("2026-11").key.as_dict(private=True)))
    return folder


async def created(installation: Installation, *options: str) -> dict[str, Any]:
    return (await quick_liveness(installation, "sessions", "create", *options, "--json")).document


def picture_for(session: dict[str, Any]) -> NewSubmission:
    return picture(session["correlation_id"], LIVE, session_token=session["token"])


async def states(installation: Installation, session_id: str) -> list[str]:
    """States in their order; one that is published again, as after a rebalance, has the same bytes."""
    events = [event for event in await installation.events(Topic.SESSIONS) if event.get("session_id") == session_id]
    assert {event["state"] for event in events if "token" in event} <= {"created"}
    assert len({orjson.dumps(event) for event in events}) == len({event["state"] for event in events})
    return list(dict.fromkeys(event["state"] for event in events))


async def test_session_from_its_creation_to_its_end(install: MakeInstallation, tmp_path: Path) -> None:
    installation = await install(
        sessions__keys=str(key_folder(tmp_path)),
        sessions__expiry_grace_s="0",
        abuse__sweep_s="0.2",
        abuse__hash_keys=HASH_KEYS,
    )
    await installation.workers.run(2)
    session = await created(installation, "--attempts", "1", "--threshold", "0", "--request-token", "r-1")
    assert session["state"] == "created"
    again = await created(
        installation,
        "--attempts",
        "1",
        "--threshold",
        "0",
        "--request-token",
        "r-1",
        "--correlation-id",
        session["correlation_id"],
    )
    assert again == session

    first, second = picture_for(session), picture_for(session)
    (answer,) = await decided(installation, [first])
    assert (answer["result"]["verdict"], answer["result"]["liveness_passed"]) == ("LIVE", True)

    async def ended() -> bool:
        return (await states(installation, session["session_id"]))[-1] == "succeeded"

    await eventually(ended, "the session has ended", ANSWER_S)
    assert (await states(installation, session["session_id"])) == ["created", "running", "succeeded"]
    (refused,) = await decided(installation, [second])
    assert refused["error"]["code"] == "SESSION_INVALID"
    shown = (await quick_liveness(installation, "sessions", "show", session["session_id"], "--json")).document
    assert (shown["state"], shown["submission_id"]) == ("succeeded", first.submission_id)
    assert shown["attempts"] == {"allowed": 1, "used": 1}
    await cancelled_session(installation)
    await tenant_that_needs_sessions(installation)
    await erased(installation, session)


async def cancelled_session(installation: Installation) -> None:
    session = await created(installation)
    await quick_liveness(installation, "sessions", "cancel", session["session_id"])
    await quick_liveness(installation, "sessions", "cancel", session["session_id"], expect=1)
    (refused,) = await decided(installation, [picture_for(session)])
    assert "session_cancelled" in refused["result"]["reasons"]
    assert await states(installation, session["session_id"]) == ["created", "cancelled"]


async def tenant_that_needs_sessions(installation: Installation) -> None:
    update = {"command": "settings.update", "command_id": "s-1", "actor": "ada", "reason": "policy", "tenant": "acme"}
    defaults = {"required": True, "liveness_threshold": 0}
    answer = await ask(installation.settings, {**update, "sessions": defaults}, "tenant acme", ANSWER_S)
    assert answer["changed"]["after"] == {"sessions": defaults}
    session = await created(installation, "--tenant", "acme")
    assert session["liveness_threshold"] == 0
    without = picture(session["correlation_id"], LIVE, tenant="acme")
    of_tenant = picture(session["correlation_id"], LIVE, tenant="acme", session_token=session["token"])
    refused, answered = await decided(installation, [without, of_tenant])
    assert "session_token_missing" in refused["result"]["reasons"]
    assert answered["error"] is None


async def erased(installation: Installation, session: dict[str, Any]) -> None:
    person = session["correlation_id"]
    await quick_liveness(installation, "abuse", "erase", person, "--actor", "ada", "--reason", "request")
    await quick_liveness(installation, "sessions", "show", session["session_id"], expect=1)


async def test_attempts_of_a_session_on_several_workers(install: MakeInstallation, tmp_path: Path) -> None:
    """Sent at once, read by several: no more of them are analysed than the session allows."""
    installation = await install(sessions__keys=str(key_folder(tmp_path)))
    await installation.workers.run(2)
    session = await created(installation, "--attempts", "2", "--threshold", "100")
    sent = [picture_for(session) for _ in range(6)]
    answers = await decided(installation, sent)
    spent = [answer for answer in answers if answer["error"] and answer["error"]["code"] == "SESSION_INVALID"]
    assert len(spent) == 4
