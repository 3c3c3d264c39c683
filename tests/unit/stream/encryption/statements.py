"""Keys and statements of a client for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
import pybase64
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

from stream.encryption.capture_claims import CaptureChannel, CaptureClaims
from stream.encryption.capture_statement import CaptureKey, read_capture_key
from tests.unit.stream.builders import IMAGE

ED, P256 = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")
OTHER = OKPKey.generate_key("Ed25519")
SESSION, NONCE = "session-1", "token-1"


def private(key: OKPKey | ECKey = ED) -> CaptureKey:
    return read_capture_key(orjson.dumps(key.as_dict(private=True)), private=True)


def public_text(key: OKPKey | ECKey = ED) -> str:
    """Public key as a session's terms have it."""
    return orjson.dumps(key.as_dict(private=False)).decode()


def claims(images: Sequence[bytes] = (IMAGE,), **changes: Any) -> CaptureClaims:
    fields = {
        "digests": tuple(hashlib.sha256(image).hexdigest() for image in images),
        "session": SESSION,
        "nonce": NONCE,
        "channel": CaptureChannel.IOS,
        "camera": "Back camera",
        **changes,
    }
    return CaptureClaims(**fields)


def signed(header: Any, payload: Any, key: OKPKey | ECKey = ED) -> str:
    """Compact JWS of anything, signed as the key signs."""
    texts = (each if isinstance(each, bytes) else orjson.dumps(each) for each in (header, payload))
    message = ".".join(text_of(each) for each in texts)
    algorithm = jws.JWSRegistry.algorithms["ES256" if isinstance(key, ECKey) else "EdDSA"]
    return f"{message}.{text_of(algorithm.sign(message.encode(), key))}"


def text_of(content: bytes) -> str:
    return pybase64.urlsafe_b64encode(content).rstrip(b"=").decode()
