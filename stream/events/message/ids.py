"""Identifiers on the wire: those of a submission with their patterns, canonical correlation ids, request ids."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Annotated

import orjson
from pydantic import StringConstraints

from config.strict_json import StrictJson

#: What an id may consist of, wherever it comes in: printable ASCII without spaces.
SUBMISSION_ID = r"^[!-~]{1,128}$"
SHORT_TEXT = r"^[!-~]{1,256}$"
TENANT = r"^[A-Za-z0-9._-]{1,64}$"
CANONICAL_GUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
REQUEST_ID = r"^lv_[0-9a-f]{16}$"
ShortText = Annotated[str, StringConstraints(pattern=SHORT_TEXT)]
#: Stricter than `uuid.UUID`, which also reads 0x, underscores, braces and digits of other scripts.
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")


#: The nil and the max GUID (RFC 9562, 5.9 and 5.10): what a publisher sends that made no id for the person.
NAMES_NOBODY = frozenset({str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionIds(StrictJson):
    """Identifiers of a submission and of its sender, checked; `correlation_id` is a lower-case hyphenated GUID."""

    submission_id: Annotated[str, StringConstraints(pattern=SUBMISSION_ID)]
    correlation_id: Annotated[str, StringConstraints(pattern=CANONICAL_GUID)] | None = None
    tenant: Annotated[str, StringConstraints(pattern=TENANT)] | None = None
    session_id: ShortText | None = None
    resource_id: ShortText | None = None


def is_guid(value: str) -> bool:
    """Whether this can be a correlation id: 32 hex digits, with or without the four hyphens."""
    return _GUID.fullmatch(value) is not None


def canonical_guid(value: str) -> str:
    """Lower-case with hyphens; raises ValueError for what is no GUID."""
    if not is_guid(value):
        raise ValueError("expected a 128-bit GUID")
    return str(uuid.UUID(value))


def names_nobody(value: object) -> bool:
    """Whether this is a GUID that no person can have."""
    return isinstance(value, str) and is_guid(value) and canonical_guid(value) in NAMES_NOBODY


def personal_guid(value: str) -> str:
    """Like `canonical_guid`; raises ValueError also for a GUID that names nobody."""
    canonical = canonical_guid(value)
    if canonical in NAMES_NOBODY:
        raise ValueError("expected the GUID of a person")
    return canonical


def request_id(ids: SubmissionIds, fingerprint: str) -> str:
    """`lv_` + 16 hex, derived from the submission: the same again for a duplicate, another for other content."""
    digest = hashlib.sha256(orjson.dumps([ids.tenant, ids.submission_id, fingerprint])).hexdigest()
    return f"lv_{digest[:16]}"
