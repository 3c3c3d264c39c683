"""Asking: what is sent, and which of the records on the audit topic is taken for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from config.settings import load
from stream.events.message.messages import Output, Record
from stream.review import command_client
from stream.review.command_client import NoAnswer, ask, ask_session
from tests.unit.stream.review.command_cases import fields, header, record

MINE = orjson.dumps({"command_id": "c-1", "tenant": "acme", "mine": True})


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """Values on the audit topic once a command is sent."""
    values: list[bytes | None] = []

    class Source:
        async def records(self) -> AsyncIterator[Record]:
            for value in values:
                yield record(value)
            await asyncio.Event().wait()

    @asynccontextmanager
    async def reader(*_: object, from_start: bool) -> AsyncIterator[Source]:
        assert not from_start
        yield Source()

    monkeypatch.setattr(command_client, "reader", reader)
    return values


@pytest.fixture(autouse=True)
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Output]:
    seen: list[Output] = []

    @asynccontextmanager
    async def producer(*_: object) -> AsyncIterator[None]:
        yield

    async def send(_: object, output: Output) -> None:
        seen.append(output)

    monkeypatch.setattr(command_client, "producer", producer)
    monkeypatch.setattr(command_client, "send", send)
    return seen


async def asked(timeout_s: float = 10.0, **changes: Any) -> dict[str, Any]:
    return await ask(load(), fields(tenant="acme", **changes), "key", timeout_s)


async def test_the_command_goes_out_under_its_key_and_id(audit, outputs):
    audit.append(MINE)
    await asked()
    (output,) = outputs
    assert (output.key, orjson.loads(output.value)) == (b"key", fields(tenant="acme"))
    assert header(output, "ce_id") == "c-1"


@pytest.mark.parametrize(
    "other",
    [
        *(None, b"", b"{", b"[]", b"7", b"{}", b'{"command_id": "c-2", "tenant": "acme"}'),
        *(b'{"command_id": "c-1", "tenant": "other"}', b'{"command_id": "c-1", "tenant": ["acme"]}'),
    ],
)
async def test_what_is_anothers_is_passed_over(audit, other):
    audit += [other, MINE]
    assert (await asked())["mine"]


@pytest.mark.parametrize(
    ("asking", "on_topic", "answering"),
    [("acme", ["acme"], "acme"), ("acme", [None], None), (..., ["acme", None], None)],
    ids=["its tenant", "a malformed tenant", "no tenant"],
)
async def test_an_answer_names_the_tenant_or_could_not_read_it(audit, asking, on_topic, answering):
    audit += [orjson.dumps({"command_id": "c-1", "tenant": tenant}) for tenant in on_topic]
    assert (await ask(load(), fields(tenant=asking), "key", 10.0))["tenant"] == answering


async def test_answer_that_no_worker_wrote(audit):
    """With record keys a stranger on the topic answers nobody."""
    audit += [orjson.dumps({"command_id": "c-1", "tenant": "acme", "mine": False}), MINE]
    answer = await ask(load(), fields(tenant="acme"), "key", 10.0, lambda record: record.value == MINE)
    assert answer["mine"]
    with pytest.raises(NoAnswer, match="carries no right MAC"):
        await ask(load(), fields(tenant="acme"), "key", 0.01, lambda record: False)


async def test_nobody_waits_longer_than_told(audit):
    with pytest.raises(NoAnswer, match=r"within 0\.01 s"):
        await asked(timeout_s=0.01)


SESSION = {"session_id": "ls_1", "tenant": "acme", "state": "created", "client_request_token": "r-1"}
OTHERS = [
    {**SESSION, "client_request_token": "r-2"},
    {**SESSION, "tenant": "other"},
    {**SESSION, "state": "running", "client_request_token": None},
    {"tenant": "acme", "command_id": "c-2", "error": {}},
    {"session_id": "ls_1", "tenant": "acme", "state": "cancelled", "command_id": "c-2"},
]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("session.create", SESSION),
        ("session.create", {"tenant": "acme", "command_id": "c-1", "error": {}}),
        ("session.create", {"tenant": None, "command_id": "c-1", "error": {}}),
        ("session.cancel", {"session_id": "ls_1", "tenant": "acme", "state": "cancelled", "command_id": "c-1"}),
    ],
)
async def test_answer_about_a_session(audit, command, answer):
    """By the client request token, which a repeat under another command has as well, or by the command."""
    audit += [orjson.dumps(other) for other in OTHERS] + [b"{", orjson.dumps(answer)]
    asked = {"client_request_token": "r-1"} if command == "session.create" else {"session_id": "ls_1"}
    assert await ask_session(load(), fields(command, tenant="acme", **asked), "key", 10.0) == answer
