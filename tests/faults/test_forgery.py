"""A thief with a right to write to internal topics and to commands: nothing the thief writes is believed by anybody."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stream.events.authentication.record_mac import HEADER
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic
from stream.kafka.clients.clients import producer, send
from tests.e2e.abuse_cases import HASH_KEYS, LIVE, answers, command, decided, flagged, order, picture
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation, set_aside
from tests.e2e.workers import SCRIPTED
from tests.integration.test_notify import NOTIFY, Receiver, receiver, settings_for

__all__ = ["receiver"]  # a fixture
pytestmark = [pytest.mark.real, pytest.mark.slow]

RECORD_KEYS = json.dumps([{"id": "r1", "secret": "another-secret-of-the-tests-and-of-nobody"}])
#: With so many dead letters in a row a worker would end, were the thief's among them.
BREAKER = 5
WHO = ("--actor", "ann", "--reason", "manual_check")


async def write(installation: Installation, *outputs: Output) -> None:
    async with producer(installation.settings.kafka) as client:
        for output in outputs:
            await send(client, output)


def again(record: Record, **changed: Any) -> Output:
    """A record as the thief read it, with some of it changed."""
    as_read = {"topic": record.topic, "key": record.key, "value": record.value, "headers": record.headers}
    return Output(**{**as_read, **changed})


def about_another(record: Record, old: str, new: str) -> bytes:
    return (record.value or b"").replace(old.encode(), new.encode())


async def test_thief(install: MakeInstallation, receiver: Receiver, tmp_path: Path) -> None:
    installation = await install(
        partitions=1,
        **settings_for(receiver, abuse__hash_keys=HASH_KEYS, records__keys=RECORD_KEYS, records__required="true"),
        delivery__breaker_dead_letters=str(BREAKER),
    )
    worker = await installation.workers.start(SCRIPTED).ready()
    notifier = await installation.workers.start(NOTIFY).ready()
    honest, paused, victim = (str(uuid.uuid4()) for _ in range(3))
    await decided(installation, [picture(honest, LIVE)])
    flag = (await flagged(installation, paused))[paused]
    await installation.drained()
    before = await installation.records(Topic.DECISIONS)
    detection = (await installation.records(Topic.DETECTIONS))[0]
    flags = await installation.records(Topic.ABUSE_FLAGS)
    raised = next(each for each in flags if flag["flag_id"].encode() in (each.value or b""))

    live = about_another(detection, honest, victim)
    bare = tuple(header for header in detection.headers if header[0] != HEADER)
    forged_flag = about_another(raised, flag["flag_id"], "fl_" + "0b" * 12)
    forged = [
        again(detection, key=victim.encode(), value=live),
        again(detection, key=victim.encode(), value=live, headers=bare),
        again(detection, key=victim.encode(), value=live, headers=(*bare, (HEADER, b"1:r1:" + b"0" * 64))),
        *(again(detection, key=victim.encode()) for _ in range(2 * BREAKER)),
        again(detection, topic=raised.topic),
        again(raised, value=forged_flag),
        again(raised, headers=(*raised.headers, ("ce_id", b"another"))),
    ]
    await write(installation, *forged, again(before[0], value=about_another(before[0], honest, victim)))
    letters = await set_aside(installation, len(forged))
    assert Counter(dict(letter.headers)["reason"] for letter in letters) == {b"NOT_AUTHENTIC": len(forged)}
    await decided(installation, [picture(honest, LIVE)])
    await installation.drained()
    decisions = await installation.records(Topic.DECISIONS)
    assert len(decisions) == len(before) + 2, "the honest one, and the one that the thief wrote there"
    assert sum(victim.encode() in (each.value or b"") for each in decisions) == 1, "the latter alone names the victim"
    assert set(receiver.bodies.values()) == {each.value for each in flags}
    assert receiver.refused == []
    assert (worker.code, notifier.code) == (None, None)
    assert worker.events("records_not_authentic")
    assert notifier.events("records_not_authentic")

    rebuilt = (await quick_liveness(installation, "abuse", "rebuild", "--json")).document
    assert (rebuilt["unauthenticated"], rebuilt["decisions"]) == (len(forged) + 1, len(before) + 1)
    await quick_liveness(installation, "abuse", "show", "fl_" + "0b" * 12, expect=1)


async def test_commands_by_a_thief(install: MakeInstallation, tmp_path: Path) -> None:
    """The audit entry names the key of a reviewer; a sender without a key is not even answered."""
    given = ("keys", "reviewer", "ann-1", "--folder", str(tmp_path), "--actor", "ann", "--role", "reviewer")
    first = await install(partitions=1)
    made = await quick_liveness(first, *given)
    file = tmp_path / "reviewers.toml"
    file.write_text(f'[roles]\nreviewer = ["correlation.reset"]\n{made.out.decode()}')
    installation = first.restarted(commands__reviewers=str(file), commands__require_signature="true")
    worker = await installation.workers.start(SCRIPTED).ready()
    stolen = command("correlation.reset", correlation_id=str(uuid.uuid4()), actor="ann")
    await order(installation, [stolen, stolen])
    await set_aside(installation, 2)
    reviewer = installation.restarted(commands__signing_key=str(tmp_path / "ann-1.json"))
    arguments = ("abuse", "reset", str(uuid.uuid4()), *WHO, "--json")
    answer = (await quick_liveness(reviewer, *arguments)).document
    assert answer["signed_by"] == {"key": "ann-1", "actor_matches": True}
    refused = await quick_liveness(reviewer, "abuse", "erase", str(uuid.uuid4()), *WHO, "--json", expect=1)
    assert refused.document["error"]["code"] == "NOT_PERMITTED"
    told = await answers(installation, [answer["command_id"], refused.document["command_id"]])
    assert stolen["command_id"] not in told
    assert (worker.code, len(await installation.records(Topic.DEAD_LETTER))) == (None, 2)
    installation.workers.end()
