"""`liveness abuse rekey` as it is run to be rid of a key: every face is found when the key is gone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from abuse.event_time import HOUR_MS
from abuse.faces.face_index import EnrolledReference, FaceIndex
from abuse.faces.template_protection import TemplateProtection
from stream.bootstrap.abuse import face_keys, open_face_index
from stream.redis.client import connect
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.enrolling import enrol_and_search

pytestmark = [pytest.mark.real, pytest.mark.slow]

FACES, WITHIN = 500, 0.3
OLD = {"id": "k1", "secret": "1" * 32}
NEW = {"id": "k2", "secret": "2" * 32}


def reference(keys: TemplateProtection, person: int, number: int, at_ms: int) -> EnrolledReference:
    vector = np.random.default_rng(person).standard_normal(128).astype("<f4") * np.float32(0.06)
    template = keys.transform(None, "made-up", vector.tobytes(), at_ms)
    return EnrolledReference(
        tenant=None,
        correlation_id=f"cid-{person}-{number}",
        submission_id=f"sub-{person}-{number}",
        session_id=None,
        at_ms=at_ms,
        template=template,
        former=keys.under_all(template, None, at_ms),
    )


def with_keys(installation: Installation, *keys: dict[str, Any]) -> Installation:
    return installation.restarted(abuse__hash_keys=orjson.dumps(keys).decode())


async def found(installation: Installation, number: int) -> list[list[str]]:
    """The earlier submissions that each person finds who comes again now."""
    index, keys, close = parts(installation)
    now_ms = time.time_ns() // 1_000_000
    told = [await enrol_and_search(index, reference(keys, person, number, now_ms), WITHIN) for person in range(FACES)]
    await close()
    return [sorted(hit.submission_id for hit in met.candidates) for met in told]


def parts(installation: Installation) -> tuple[FaceIndex, TemplateProtection, Any]:
    settings = installation.settings
    calls, keys = connect(settings.redis), face_keys(settings, settings.policy())
    assert keys is not None
    return open_face_index(settings, settings.policy(), calls), keys, calls.close


async def test_removed_key_loses_no_face(install: MakeInstallation) -> None:
    """A key can be removed once re-keying moves nothing any more."""
    before = with_keys(await install(partitions=1), OLD)
    index, keys, close = parts(before)
    begin_ms = time.time_ns() // 1_000_000 - 8 * HOUR_MS
    await index.enrol([reference(keys, person, 0, begin_ms + person % 6 * HOUR_MS) for person in range(FACES)])
    await index.forget(None, "cid-3-0")
    await close()

    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    both = with_keys(before, OLD, {**NEW, "since": since})
    expected = [[f"sub-{person}-0"] if person != 3 else [] for person in range(FACES)]
    assert await found(both, 1) == expected
    moved = await liveness(both, "abuse", "rekey", "--json")
    assert moved.document == {
        "key": "k2", "tenants": 1, "moved": FACES - 1, "current": moved.document["current"], "lost": 0, "waiting": 0
    }  # fmt: skip
    assert (await liveness(both, "abuse", "rekey", "--json")).document["moved"] == 0

    after = with_keys(before, NEW)
    expected = [sorted([*names, f"sub-{person}-1"]) for person, names in enumerate(expected)]
    assert await found(after, 2) == expected
    without = with_keys(before, {"id": "k3", "secret": "3" * 32})
    left = (await liveness(without, "abuse", "rekey", "--json")).document
    assert (left["moved"], left["lost"]) == (0, 3 * FACES - 1), "removing the key too early is told"
