"""Compact serialization (RFC 7515): base64url without padding, and what a token tells, unchecked."""

from __future__ import annotations

from typing import Any

import orjson
import pybase64


def base64url(content: bytes) -> str:
    return pybase64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Raises ValueError for anything else, padding included."""
    return pybase64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def object_in(text: str) -> dict[str, Any]:
    """JSON object in base64url. Raises ValueError."""
    document = orjson.loads(from_base64url(text))
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    return document


def told_by(token: str) -> dict[str, Any]:
    """Claims of a JWT, unchecked. Raises ValueError for what is no token."""
    _, payload, _ = token.split(".")
    return object_in(payload)
