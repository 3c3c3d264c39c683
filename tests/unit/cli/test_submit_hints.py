"""`liveness submit` without a decision: what is known of why, and what helps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from config.settings import Settings
from stream.cli.submit import submitting
from stream.kafka.clients.backlog import Backlog
from stream.kafka.clients.clients import KafkaUnreachable
from stream.kafka.clients.security import KafkaRefuses

#: What the look finds -> words of the hint.
FOUND: dict[str, tuple[int | Exception, str]] = {
    "not read": (3, "3 records are not decided on yet: no worker runs"),
    "read": (0, "Workers have read every record"),
    "no right to look": (GroupAuthorizationFailedError(), "Either no worker runs"),
    "no right to connect so": (KafkaRefuses("access is refused"), "Either no worker runs"),
    "no broker": (KafkaUnreachable("-"), "waits for Redis or Kafka (liveness health --ready)"),
}


@pytest.mark.parametrize(("found", "words"), FOUND.values(), ids=FOUND)
def test_hint(monkeypatch, found: int | Exception, words: str) -> None:
    async def look(*_: Any) -> list[Backlog]:
        if isinstance(found, Exception):
            raise found
        return [Backlog(topic="t", lag=found, at_risk=False), Backlog(topic="u", lag=0, at_risk=False)]

    monkeypatch.setattr(submitting, "look", look)
    assert words in asyncio.run(submitting._why(Settings()))
