"""Subjects of abuse data, by keys that reveal nothing personal.

Addresses and devices are personal data: outside the event they exist only as keyed hashes. An event uses the hash key
of its own time, so that a replay finds the same subjects. For as long as a flag may live after a change of keys, a
subject also has its former keys, so that no flag is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: Hex digits of a subject's hash: 128 bits, enough that two addresses never share one.
HASH_LENGTH = 32
#: The form of a hashed key: the id of the hash key, then the hash.
HASHED_KEY = rf"^[a-z0-9]{{1,16}}-[0-9a-f]{{{HASH_LENGTH}}}$"
#: IP version -> length of the prefix that a provider usually gives one customer (RFC 6177 for IPv6).
PREFIX_LENGTH = {4: 24, 6: 64}


class SubjectType(StrEnum):
    CORRELATION_ID = "correlation_id"
    DEVICE = "device"
    ADDRESS = "address"
    PREFIX = "prefix"
    FACE = "face"
    MEDIA = "media"


#: Types of subjects that are one person's; addresses are shared.
PERSONAL = frozenset({SubjectType.CORRELATION_ID, SubjectType.DEVICE, SubjectType.FACE, SubjectType.MEDIA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject of one tenant. `key`: the correlation id itself, or `KEYID-HEX` for a hashed address or device.

    `former`: keys of the same address or device under hash keys replaced a while ago.
    """

    type: SubjectType
    key: str
    former: tuple[str, ...] = field(default=(), compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.former)


def correlation(correlation_id: str) -> Subject:
    return Subject(type=SubjectType.CORRELATION_ID, key=correlation_id)


def subject_document(subject: Subject) -> dict[str, str]:
    return {"type": str(subject.type), "key": subject.key}


def subject_from(document: Mapping[str, str]) -> Subject:
    return Subject(type=SubjectType(document["type"]), key=document["key"])
