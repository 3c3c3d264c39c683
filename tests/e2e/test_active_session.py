"""Active sessions on the whole path: a rendered head answers a session's own challenges before the real analysis."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.encryption.reviewer_keys import new_signing_key
from stream.events.message.session_terms import FrameContext
from stream.events.topics import Topic
from stream.events.wire.submissions import Form, NewFrame, NewSubmission, capture_outputs
from stream.kafka.clients.clients import producer, send
from tests.e2e.abuse_cases import decisions_of
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.sequences import ATTACKS, RenderedSequence, genuine, portrait

pytestmark = [pytest.mark.real, pytest.mark.slow]

HASH_KEYS = orjson.dumps([{"id": "h1", "secret": base64.b64encode(b"h" * 32).decode()}]).decode()


async def created(installation: Installation) -> dict[str, Any]:
    """Answer to the command that creates an active session."""
    made = await quick_liveness(installation, "sessions", "create", "--mode", "active", "--json")
    return dict(made.document)


def rendered(session: dict[str, Any], make: Any = genuine, seed: int = 3) -> RenderedSequence:
    found = make(portrait(), challenges=tuple(session["liveness_challenges"]), seed=seed)
    assert isinstance(found, RenderedSequence)
    return found


async def decided(
    installation: Installation, session: dict[str, Any], shown: RenderedSequence, form: Form = Form.BINARY
) -> dict[str, Any]:
    frames = tuple(
        NewFrame(image=each.image, context=FrameContext(challenge=each.challenge, at_ms=each.at_ms))
        for each in shown.frames
    )
    new = NewSubmission(
        submission_id=str(uuid.uuid4()),
        correlation_id=session["correlation_id"],
        optional={"session_token": session["token"]},
    )
    async with producer(installation.settings.kafka) as client:
        for output in capture_outputs(new, frames, installation.topic(Topic.SUBMISSIONS), form):
            await send(client, output)
    (decision,) = await decisions_of(installation, [new.submission_id])
    return dict(decision)


async def states(installation: Installation, session: dict[str, Any]) -> list[str]:
    events = await installation.events(Topic.SESSIONS)
    return [each["state"] for each in events if each["session_id"] == session["session_id"]]


async def test_active_sessions(install: MakeInstallation, tmp_path: Path) -> None:
    """A head passes as records and as one event; a photograph turned in the hand and a recorded check do not."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "k.json").write_bytes(orjson.dumps(new_signing_key("k").key.as_dict(private=True)))
    installation = await install(sessions__keys=str(keys), abuse__hash_keys=HASH_KEYS)
    await installation.workers.start().ready()

    first = await created(installation)
    shown = rendered(first)
    passed = await decided(installation, first, shown)
    result = passed["result"]
    assert (result["verdict"], result["liveness_passed"]) == ("LIVE", True), result["reasons"]
    assert result["challenges_completed"] == first["liveness_challenges"]
    assert (result["liveness_mode"], result["frames_captured"]) == ("active", len(shown.frames))
    assert await states(installation, first) == ["created", "running", "succeeded"]

    again = await created(installation)
    passed = await decided(installation, again, rendered(again, seed=4), Form.STRUCTURED)
    assert passed["result"]["verdict"] == "LIVE", passed["result"]["reasons"]

    recorded = await created(installation)
    replayed = (await decided(installation, recorded, shown))["result"]
    assert (replayed["verdict"], replayed["reasons"][0]) == ("SPOOF", "frames_of_another_session")
    assert await states(installation, recorded) == ["created", "running", "failed"]

    printed = await created(installation)
    turned = (await decided(installation, printed, rendered(printed, ATTACKS["turned_photograph"])))["result"]
    assert turned["verdict"] == "SPOOF"
    assert not {"flat_surface", "background_moves_with_face", "challenge_missing"}.isdisjoint(turned["reasons"])
    assert (turned["client"]["outcome"], turned["outcome"]) == ("FAIL", "FAIL")
