"""Identifiers on the wire: the patterns they must match, correlation ids in canonical form, request ids."""

from __future__ import annotations

import hashlib
import re
import uuid

import orjson

from stream.events.messages import SubmissionIds

#: What an id may consist of, wherever it comes in: printable ASCII without spaces.
SUBMISSION_ID = r"^[!-~]{1,128}$"
SHORT_TEXT = r"^[!-~]{1,256}$"
TENANT = r"^[A-Za-z0-9._-]{1,64}$"
CANONICAL_GUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
#: Stricter than `uuid.UUID`, which also reads 0x, underscores, braces and digits of other scripts.
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")


def is_guid(value: str) -> bool:
    """Whether this can be a correlation id: 32 hex digits, with or without the four hyphens."""
    return _GUID.fullmatch(value) is not None


def canonical_guid(value: str) -> str:
    """Lower-case with hyphens; raises ValueError for what is no GUID."""
    if not is_guid(value):
        raise ValueError("expected a 128-bit GUID")
    return str(uuid.UUID(value))


def request_id(ids: SubmissionIds, fingerprint: str) -> str:
    """`lv_` + 16 hex, derived from the submission: the same again for a duplicate, another for other content."""
    digest = hashlib.sha256(orjson.dumps([ids.tenant, ids.submission_id, fingerprint])).hexdigest()
    return f"lv_{digest[:16]}"
