"""Encrypted selfies on the whole path: the decision is the one that the picture gets unencrypted, also by a key added
while the worker runs, and the topic never holds the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.encryption.jwe import encrypt
from stream.encryption.key_files import KeyAlgorithm, SelfieKey, as_jwk, new_key
from stream.events.topics import Topic
from stream.events.wire.submissions import Form, NewSubmission
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.pictures import plain_picture, submission
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


def added(folder: Path, kid: str, algorithm: KeyAlgorithm) -> SelfieKey:
    key = new_key(kid, algorithm)
    (folder / f"{kid}.json").write_bytes(orjson.dumps(as_jwk(key, private=True)))
    return key


def encrypted(new: NewSubmission, key: SelfieKey) -> NewSubmission:
    return replace(new, image=encrypt(new.image, key), encrypted=True, submission_id=f"{new.submission_id}-{key.kid}")


async def test_same_decision(install: MakeInstallation, tmp_path: Path) -> None:
    first = added(tmp_path, "first", KeyAlgorithm.RSA_OAEP_256)
    installation = await install(encryption__keys=str(tmp_path), encryption__key_reload_s="0.2")
    worker = await installation.workers.start().ready()
    second = added(tmp_path, "second", KeyAlgorithm.ECDH_ES)
    await worker.said("decryption_keys", kids=["first", "second"])
    plain = submission(plain_picture())
    stranger = new_key("first", KeyAlgorithm.RSA_OAEP_256)
    await installation.publish([plain])
    await installation.publish([encrypted(plain, first)], Form.MODULE)
    await installation.publish([encrypted(plain, second), encrypted(replace(plain, submission_id="x"), stranger)])

    events: dict[str, Any] = {}

    async def decided() -> bool:
        events.update({event["submission_id"]: event for event in await installation.events(Topic.DECISIONS)})
        return len(events) == 4

    await eventually(decided, "four decisions")
    name = plain.submission_id
    results = [events[each]["result"] for each in (name, f"{name}-first", f"{name}-second")]
    assert results[0]["face_detected"]
    assert [result.pop("variant") for result in results] == ["score", "flags", "flags"]
    assert results[1:] == results[:1] * 2
    assert events["x-first"]["error"]["code"] == "DECRYPTION_FAILED"
    submitted = [record.value or b"" for record in await installation.records(Topic.SUBMISSIONS)]
    assert [plain.image in value for value in submitted].count(True) == 1
    assert as_jwk(first, private=True)["d"] not in worker.output
    worker.terminate()
    assert await worker.ended() == 0
