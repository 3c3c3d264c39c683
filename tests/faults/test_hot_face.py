"""Reuse where one face and one picture are most of the traffic: told as they double, and nobody else is touched."""

from __future__ import annotations

import uuid
from collections import Counter

import orjson
import pytest

from abuse.links.large_clusters import LARGE_SIZE
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from tests.e2e.abuse_cases import HASH_KEYS, decided
from tests.e2e.analysers import marked
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

HOT, BYSTANDERS = 240, 40
REUSE = ("face_reuse", "media_replay")


def hot() -> NewSubmission:
    """The same face and picture under ever new ids."""
    return NewSubmission(image=marked(plain_picture(), "face", 7), optional={"session_id": str(uuid.uuid4())})


async def test_growth_is_told_and_bystanders_are_not_touched(install: MakeInstallation) -> None:
    installation = await install(partitions=3, abuse__hash_keys=HASH_KEYS)
    await installation.workers.start(SCRIPTED).ready()
    deciding = installation.settings.delivery.max_deciding
    bystanders = [submission(plain_picture()) for _ in range(BYSTANDERS)]
    every_seventh = HOT // BYSTANDERS + 1
    given = [hot() for _ in range(HOT)]
    for number, bystander in enumerate(bystanders):
        given.insert(number * every_seventh, bystander)
    decisions = {decision["submission_id"]: decision for decision in await decided(installation, given)}
    await installation.drained()
    assert (await installation.sound_report()).decided == len(given)
    for bystander in bystanders:
        decision = decisions[bystander.submission_id]
        assert (decision["result"]["verdict"], decision["abuse"]["flags"]) == ("LIVE", [])
    flags = [orjson.loads(record.value or b"") for record in await installation.records(Topic.ABUSE_FLAGS)]
    for kind in REUSE:
        events = [flag for flag in flags if flag["kind"] == kind]
        # Members of the cluster before it was large, and those that were being decided just then.
        assert len({flag["subject"]["key"] for flag in events}) <= LARGE_SIZE + deciding
        highest = max(events, key=lambda flag: flag["level"])
        assert highest["evidence"]["used"] >= HOT / 2
        assert max(Counter((flag["flag_id"], flag["level"]) for flag in events).values()) == 1
    last = decisions[given[-1].submission_id]["abuse"]
    assert {flag["kind"] for flag in last["flags"]} >= set(REUSE)
