"""Workers of one consumer group that differ: what is said, and who is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import policy_file
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

K1 = {"id": "k1", "secret": "of-the-installation-and-long-enough"}
K2 = {"id": "k2", "secret": "another-of-the-installation-as-long"}
ROTATING = [K1, {**K2, "since": "2999-01-01T00:00:00Z"}]
#: Settings of a second worker, and words of its refusal.
APART: dict[str, Any] = {
    "redis.key_prefix is elsewhere: here": {"redis__key_prefix": "elsewhere:"},
    "abuse.hash_keys are k2": {"abuse__hash_keys": json.dumps([K2])},
    "abuse.hash_keys are none": {"abuse__hash_keys": "[]"},
}


async def test_mixed_fleet(install: MakeInstallation, tmp_path: Path) -> None:
    installation = await install(partitions=1, abuse__hash_keys=json.dumps([K1]))
    first = await installation.workers.start(SCRIPTED).ready()
    refused = {words: installation.workers.start(SCRIPTED, **changed) for words, changed in APART.items()}
    for words, worker in refused.items():
        assert await worker.ended() == 2
        (said,) = worker.events("wrong_settings")
        assert words in said["why"]
    deploy = {"policy_file": policy_file(tmp_path, detector_s=9, event_s=24), "abuse__hash_keys": json.dumps(ROTATING)}
    second = installation.workers.start(SCRIPTED, "--roles", "decide,command", **deploy)
    await second.said("fleet_differs")
    said = await first.said("fleet_differs")
    assert {"policy", "hash_keys"} <= set(said)
    assert "rules" not in said
    told = (await quick_liveness(installation, "topics", "check", "--json")).document["fleet"]
    assert (len(told["workers"]), set(told["differences"]), told["apart"]) == (2, {"policy", "hash keys"}, [])
    second.terminate()
    assert await second.ended() == 0
    await first.said("fleet_agrees", workers=1)
    assert first.code is None
    assert K1["secret"] not in first.output + second.output
