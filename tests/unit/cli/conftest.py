"""Abuse table, topics and answers to commands, in memory, for tests of `liveness abuse`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest
import typer.testing

from abuse.keys.key_checks import InMemoryKeyChecks
from abuse.store_time import StillTime
from stream.bootstrap.abuse_table import Table
from stream.cli.abuse import audit as audit_command
from stream.cli.abuse import deciding, looking, rebuilding, rules, target
from stream.cli.sessions import looking as session_looking
from stream.events.message.messages import Record
from stream.maintenance.one_content import OneContent
from stream.runtime.patience import RetryPolicy
from stream.sessions.session_store import InMemorySessionStore
from tests.instants import NOW_MS
from tests.unit.abuse.review.test_audit import chain
from tests.unit.stream.review.command_cases import Reviewer, record

#: Typer puts the whole command line together for each command, which takes longer than most commands do.
typer.testing._get_command = cache(typer.testing._get_command)

KEYS = json.dumps([{"id": "k1", "secret": "a-secret-of-the-tests-and-of-nobody-else"}])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Table:
    """Abuse table that every subcommand opens."""
    reviewer = Reviewer()
    made = Table(
        ledger=reviewer.ledger,
        links=reviewer.links,
        audit=reviewer.audit,
        commands=reviewer.log,
        decisions=reviewer.decisions,
        erasures=reviewer.erasures,
        parts=Mock(),
        restoring=Mock(),
        mark_rebuilt=AsyncMock(),
        content=create_autospec(OneContent),
        secrets=InMemoryKeyChecks(),
        patience=RetryPolicy(),
        time=StillTime(NOW_MS),
        sessions=InMemorySessionStore(),
    )

    @asynccontextmanager
    async def opened(settings: object) -> AsyncIterator[Table]:
        yield made

    for module in (audit_command, deciding, looking, rebuilding, rules, target, session_looking):
        monkeypatch.setattr(module, "table", opened)
    return made


class Asked(list[tuple[dict[str, Any], str]]):
    """Commands sent, each with its record key; `answer` is the audit entry to return, or an error to raise."""

    answer: dict[str, Any] | Exception


def applied(**changes: Any) -> dict[str, Any]:
    return {**chain(1)[0], "outcome": "applied", "error": None, "changed": {}, **changes}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    seen = Asked()
    seen.answer = applied()

    async def ask(settings: object, command: dict[str, Any], key: str, timeout_s: float, _: object) -> dict[str, Any]:
        seen.append((command, key))
        if isinstance(seen.answer, Exception):
            raise seen.answer
        return seen.answer

    monkeypatch.setattr(deciding, "ask", ask)
    return seen


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[bytes | Record]:
    """Topic that commands read: values, or whole records where their headers count."""
    values: list[bytes | Record] = []

    class Source:
        async def until_end(self) -> AsyncIterator[Record]:
            for value in values:
                yield value if isinstance(value, Record) else record(value)

    @asynccontextmanager
    async def reader(*_: object, from_start: bool) -> AsyncIterator[Source]:
        yield Source()

    for module in (audit_command, looking, session_looking):
        monkeypatch.setattr(module, "reader", reader)
    return values
