"""A session with all its wishes through both stages: attested capture, reference image, session image."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream.encryption import jwe
from stream.encryption.capture_statement import named_in
from stream.sessions.gate import SessionTokenGate
from stream.sessions.ledger import SessionBook
from stream.sessions.session_store import InMemorySessionStore
from tests.unit.stream.builders import IMAGE, OTHER_IMAGE, bare, base64_of
from tests.unit.stream.encryption.keys import EC, key
from tests.unit.stream.encryption.statements import ED, OTHER, claims, private
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.pipeline.capture.test_session_images import BANK, images
from tests.unit.stream.pipeline.capture.test_verification import IMPOSTORS, REFERENCE, SAME, STRANGER
from tests.unit.stream.sessions.builders import session_record, token_of, tokens

PUBLIC = {name: ED.as_dict(private=False)[name] for name in ("kty", "crv", "x")}
RECORD = session_record(
    tenant="bank",
    attempts=1,
    capture_key=PUBLIC,
    attestation_required=True,
    reference_sha256=hashlib.sha256(OTHER_IMAGE).hexdigest(),
    image_wanted=True,
)
TOKEN = token_of(RECORD)
SESSION, NONCE = named_in(TOKEN)


class Pictures(FakeAnalyser):
    """Pool to which the selfie and the reference have faces of their own."""

    def __init__(self, face):
        super().__init__()
        self.face = face

    async def analyse(self, frames, *, measured=False):
        return tuple(self.face if frame.image == IMAGE else REFERENCE for frame in frames)


def statement(signer=None, pictures=(IMAGE,)):
    return (signer or private()).sign(claims(pictures, session=SESSION, nonce=NONCE))


class Visit:
    """A visit of a person, whose selfie shows a face."""

    def __init__(self, face=SAME) -> None:
        self.store = InMemorySessionStore()
        gate = SessionTokenGate(store=self.store, tokens=tokens())
        self.pipeline = Pipeline(Pictures(face), sessions=gate, book=SessionBook(store=self.store))
        stage = self.pipeline.detect_stage
        self.pipeline.detect_stage = replace(stage, impostors=IMPOSTORS, images=images(BANK))

    async def result(self, **changes: Any) -> tuple[dict[str, Any], str]:
        """Result of the decision, and the state in which the session ends."""
        await self.store.create(RECORD)
        fields = {"tenant": "bank", "session_token": TOKEN, "reference_image": base64_of(OTHER_IMAGE), **changes}
        *self.pictures, detection = await self.pipeline.detect(bare(**fields))
        decision = orjson.loads((await self.pipeline.decide(detection)).value or b"")
        return decision["result"], orjson.loads(self.pipeline.changes[-1].value or b"")["state"]


async def test_success():
    visit = Visit()
    result, state = await visit.result(capture_attestation=statement())
    assert (result["verdict"], state) == ("LIVE", "succeeded")
    assert result["capture"] == {"attestation": "attested", "channel": "ios", "camera": "Back camera"}
    assert result["verification"]["is_identical"] is True
    digest = hashlib.sha256(IMAGE).hexdigest()
    assert result["session_image"] == {"frame": 0, "sha256": digest, "published": True, "reason": ""}
    (picture,) = visit.pictures
    assert jwe.decrypt(picture.value, {"bank-2026": key("bank-2026", EC)}) == IMAGE


FAILURES: dict[str, tuple[Any, dict[str, Any], tuple[str, bool]]] = {
    "another person": (STRANGER, {"capture_attestation": statement()}, ("LIVE", True)),
    "no statement": (SAME, {}, ("INCONCLUSIVE", False)),
    "another key": (SAME, {"capture_attestation": statement(private(OTHER))}, ("SPOOF", False)),
    "another picture": (SAME, {"capture_attestation": statement(pictures=[OTHER_IMAGE])}, ("SPOOF", False)),
    "no reference": (SAME, {"capture_attestation": statement(), "reference_image": ...}, ("INCONCLUSIVE", False)),
    "another reference": (
        SAME,
        {"capture_attestation": statement(), "reference_image": base64_of()},
        ("INCONCLUSIVE", False),
    ),
}


@pytest.mark.parametrize(("face", "changes", "expected"), FAILURES.values(), ids=FAILURES)
async def test_failure(face, changes, expected):
    """Liveness of another person is still told as it is; the session fails."""
    result, state = await Visit(face).result(**changes)
    assert (result["verdict"], result["liveness_passed"], state) == (*expected, "failed")
