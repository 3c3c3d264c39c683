"""The abuse table and topics that commands find, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from abuse.keys.key_checks import InMemoryKeyChecks
from stream.bootstrap.abuse_table import Table
from stream.cli.abuse import audit as audit_command
from stream.cli.abuse import deciding, looking, rules, target
from stream.events.messages import Record
from stream.runtime.patience import RetryPolicy
from tests.instants import StillClock
from tests.unit.stream.review.command_cases import Reviewer, record


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table that every command finds."""
    reviewer = Reviewer()
    made = Table(
        ledger=reviewer.ledger,
        links=reviewer.links,
        audit=reviewer.audit,
        commands=reviewer.log,
        erasures=reviewer.erasures,
        secrets=InMemoryKeyChecks(),
        patience=RetryPolicy(),
        clock=StillClock(),
    )

    @asynccontextmanager
    async def opened(settings: object) -> AsyncIterator[Table]:
        yield made

    for module in (audit_command, deciding, looking, rules, target):
        monkeypatch.setattr(module, "table", opened)
    return made


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    values: list[bytes] = []

    class Source:
        async def until_end(self) -> AsyncIterator[Record]:
            for value in values:
                yield record(value)

    @asynccontextmanager
    async def reader(*_: object, from_start: bool) -> AsyncIterator[Source]:
        yield Source()

    for module in (audit_command, looking):
        monkeypatch.setattr(module, "reader", reader)
    return values
