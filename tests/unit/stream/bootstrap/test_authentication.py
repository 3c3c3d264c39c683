"""Lines of a process that starts: whom it believes; and records that make its Redis look older."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from stream.bootstrap import installation
from stream.bootstrap.authentication import open_macs, say_what_is_believed, say_what_is_obeyed
from stream.events.topics import Topic
from stream.redis.marker import MarkerGuard, marker_keys
from tests.unit.stream.maintenance.test_rebuild_forged import written

KEYS = [{"id": "r1", "secret": "s" * 32}]
FAR, PAST = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"

#: Settings of the records -> the warning.
SAID: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no keys": ({}, ["records_not_authenticated"]),
    "keys": ({"keys": KEYS}, []),
    "being introduced": ({"keys": KEYS, "unsigned_until": FAR}, ["unsigned_records_believed"]),
    "introduced": ({"keys": KEYS, "unsigned_until": PAST}, []),
}


@pytest.mark.parametrize(("records", "events"), SAID.values(), ids=SAID)
def test_said_at_the_start(records: dict[str, Any], events: list[str]) -> None:
    with capture_logs() as logged:
        say_what_is_believed(Settings(records=records))
    assert [(said["event"], said["log_level"]) for said in logged] == [(event, "warning") for event in events]
    assert "s" * 32 not in str(logged)


@pytest.mark.parametrize(
    ("commands", "events"),
    [({}, ["unsigned_commands_obeyed"]), ({"reviewers": "r.toml", "require_signature": True}, [])],
)
def test_said_of_commands(commands: dict[str, Any], events: list[str]) -> None:
    with capture_logs() as logged:
        say_what_is_obeyed(Settings(commands=commands))
    assert [said["event"] for said in logged] == events


async def test_forged_record_makes_no_redis_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that the thief alone knows would stop every worker that starts."""
    settings, given = Settings(records={"keys": KEYS}), dict[str, Any]()
    topic = str(Topic.DECISIONS)
    genuine, forged = written(topic, b"1", open_macs(settings)), written(topic, b"2", open_macs(Settings()))

    async def appended(*given: Any) -> list[Any]:
        return [record for record in (forged, genuine) if given[-1](record)]

    class Comparison:
        is_older = None

        def __init__(self, **parts: Any) -> None:
            given.update(parts)

    monkeypatch.setattr(installation, "appended_since", appended)
    monkeypatch.setattr(installation, "TopicComparison", Comparison)
    installation.open_installation_watch(settings, MarkerGuard(marker_keys("p:", cluster=False)))
    assert await given["appended_since"](Topic.DECISIONS, 0) == [genuine]
