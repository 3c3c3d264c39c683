"""Signatures of the Standard Webhooks specification (version 1.0.0, symmetric, scheme `v1`), made and checked.

The signature covers id, time and body, so that none of them can be changed, and a recorded request can't be
posted again later. Receivers check it with `verify`, or with any Standard Webhooks library and a `whsec_` secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from config.errors import SettingsError
from config.groups.services import WebhookSettings
from config.legal_values import SHORTEST_SECRET

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
#: Marks a secret as base64 of the key, as the specification's own libraries expect it.
SECRET_PREFIX = "whsec_"  # noqa: S105  # a prefix, not a secret
#: The specification asks for keys of 24 to 64 random bytes; text holds less in each.
SHORTEST_KEY_BYTES = 24
#: How old or how far ahead a request may be: room for clocks that differ, too little to store and repeat requests.
TOLERANCE_S = 300
_SCHEME = "v1"


class SignatureRefused(Exception):
    """Refusal of a request that is not to be trusted; the message quotes nothing of the request."""


def signing_key(secret: str) -> bytes:
    """Key of a secret: `whsec_` and base64, or any other text as it is. Raises ValueError, which quotes nothing."""
    if not secret.startswith(SECRET_PREFIX):
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"a secret needs at least {SHORTEST_SECRET} characters")
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
    if len(key) < SHORTEST_KEY_BYTES:
        raise ValueError(f"a key needs at least {SHORTEST_KEY_BYTES} bytes")
    return key


def configured_key(webhook: WebhookSettings) -> bytes:
    """Key of settings that have a secret. Raises SettingsError, which does not quote the secret."""
    assert webhook.secret is not None, "target_of refuses settings without it"
    try:
        return signing_key(webhook.secret.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"webhook.secret: {error}") from None


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of the signature header."""
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return f"{_SCHEME},{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def verify(
    key: bytes, headers: Mapping[str, str], body: bytes, *, now_s: float, tolerance_s: float = TOLERANCE_S
) -> str:
    """Message id of a genuine and recent request, for receivers. Raises SignatureRefused.

    `body` are the bytes as they came, before any parsing. The same id may come again after an answer was lost:
    a receiver remembers ids for a day or so and answers a repeat with 200.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get(ID_HEADER, ""), given.get(TIMESTAMP_HEADER, "")
    if not message_id or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise SignatureRefused(f"{ID_HEADER} or {TIMESTAMP_HEADER} is missing or malformed")
    # Before the time, so that a stranger learns nothing about the clock.
    if not _any_matches(given.get(SIGNATURE_HEADER, ""), sign(key, message_id, int(timestamp), body)):
        raise SignatureRefused("no signature fits")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise SignatureRefused("too old, or from the future")
    return message_id


def _any_matches(signatures: str, expected: str) -> bool:
    """Whether any signature of the header fits; a sender that changes its key signs with both, separated by spaces."""
    wanted = expected.encode()
    return any(hmac.compare_digest(one.encode(), wanted) for one in signatures.split(" "))
