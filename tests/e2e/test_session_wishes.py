"""A session that asks for all it may, on the whole path: an attested capture, the person of a reference image, and the
best picture for its tenant alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.cli.submit.client_capture import client_capture
from stream.encryption.capture_claims import CaptureChannel
from stream.encryption.jwe import decrypt
from stream.encryption.key_files import KeyAlgorithm, SelfieKey, as_jwk, new_key
from stream.encryption.reviewer_keys import new_signing_key
from stream.events.topics import Topic
from stream.events.wire.submissions import Form, NewSubmission
from tests.e2e.abuse_cases import decisions_of
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

PICTURE = plain_picture()
#: The same face in other bytes: what stands behind a JPEG's end is no picture.
REFERENCE = PICTURE + b"reference"


def written(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(document))
    return path


async def test_all_wishes(install: MakeInstallation, tmp_path: Path) -> None:
    tenant, phone = new_key("bank-2026", KeyAlgorithm.ECDH_ES), new_signing_key("phone").key
    written(tmp_path / "sessions" / "k.json", new_signing_key("k").key.as_dict(private=True))
    written(tmp_path / "images" / "bank.json", as_jwk(tenant, private=False))
    public = written(tmp_path / "client" / "public.json", phone.as_dict(private=False))
    private = written(tmp_path / "client" / "private.json", phone.as_dict(private=True))
    (tmp_path / "reference.jpg").write_bytes(REFERENCE)
    keys = {"sessions__keys": str(tmp_path / "sessions"), "sessions__image_keys": str(tmp_path / "images")}
    installation = await install(**keys)
    await installation.workers.start().ready()

    wishes = ("--attested", "--session-image", "--reference", str(tmp_path / "reference.jpg"))
    created = ("sessions", "create", "--tenant", "bank", "--attempts", "2", "--threshold", "0", "--capture-key")
    session = (await quick_liveness(installation, *created, str(public), *wishes, "--json")).document
    client = client_capture(session["token"], private, CaptureChannel.KIOSK, "Front camera")
    assert client is not None
    fields = {"tenant": "bank", "reference_image": base64.b64encode(REFERENCE).decode(), **client.fields(PICTURE)}
    ids = {"correlation_id": session["correlation_id"], "submission_id": "attested"}
    attested = NewSubmission(image=PICTURE, optional=fields, **ids)
    forged = replace(attested, image=PICTURE + b"changed", submission_id="forged")
    await installation.publish([forged], Form.STRUCTURED)
    (other,) = await decisions_of(installation, ["forged"])
    await installation.publish([attested], Form.BARE)  # after the other: a session ends with its first success
    (one,) = await decisions_of(installation, ["attested"])
    shown = {"attestation": "attested", "channel": "kiosk", "camera": "Front camera"}
    assert (one["result"]["capture"], other["result"]["capture"]["attestation"]) == (shown, "forged")
    assert other["result"]["verdict"] == "SPOOF"
    assert one["result"]["verification"]["is_identical"] is True
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert one["result"]["session_image"] == {"frame": 0, "sha256": digest, "published": True, "reason": ""}
    await pictures_are_the_tenants(installation, tenant)


async def pictures_are_the_tenants(installation: Installation, key: SelfieKey) -> None:
    async def published() -> bool:
        return len(await installation.records(Topic.SESSION_IMAGES)) == 2

    await eventually(published, "a picture of each attempt")
    for record in await installation.records(Topic.SESSION_IMAGES):
        opened = decrypt(record.value or b"", {key.kid: key})
        assert opened.startswith(PICTURE)
        assert dict(record.headers)["ce_imagesha256"] == hashlib.sha256(opened).hexdigest().encode()
        assert PICTURE[:64] not in (record.value or b"")
