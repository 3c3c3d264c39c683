"""Presentation-attack networks on the whole path, with hash keys: from the slot to the published decision."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest

from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from tests.e2e.abuse_cases import HASH_KEYS
from tests.e2e.fixtures import MakeInstallation
from tests.photographs import photograph
from tests.tiny_network import manifest_text, tiny_source
from tests.unit.stream.json_schema import DECISION_SCHEMA, violations


def jpeg(picture: np.ndarray) -> bytes:
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert encoded
    return bytes(data)


@pytest.mark.real
@pytest.mark.slow
async def test_network_holds_a_verdict(install: MakeInstallation, tmp_path: Path) -> None:
    """To the network red faces are people and blue ones are not."""
    network = tiny_source(tmp_path, live_index=2, scale=1.0).network
    manifest = tmp_path / "own.toml"
    manifest.write_text(manifest_text(network))
    installation = await install(
        partitions=1, detection__pad_manifests=orjson.dumps([str(manifest)]).decode(), abuse__hash_keys=HASH_KEYS
    )
    await installation.workers.start().ready()
    person = photograph("person_a_1")
    for name, picture in (("red", person), ("blue", np.ascontiguousarray(person[:, :, ::-1]))):
        await installation.publish([NewSubmission(image=jpeg(picture), submission_id=name)])
    await installation.drained()
    events = {event["submission_id"]: event for event in await installation.events(Topic.DECISIONS)}
    for event in events.values():
        assert violations(event, DECISION_SCHEMA) == []
        assert (event["error"], event["policy"]["name"]) == (None, "learned")
        assert ("means", "1") in [(model["name"], model["version"]) for model in event["models"]]
        assert event["result"]["signals"][-1]["name"] == "pad_means"
        assert event["elapsed_ms"]["networks"] > 0
    assert events["red"]["result"]["verdict"] == "LIVE"
    assert events["blue"]["result"]["verdict"] != "LIVE"
    assert events["blue"]["result"]["reasons"][0] == "attack_suspected"
