"""Who or what abuse knowledge is about, by a key that reveals nothing.

Addresses and devices are personal data: outside the event they exist only as keyed hashes. A hash key has the
time it came into force, and an event uses the key of its own time, so that a replay finds the same subjects.
For as long as a flag may live after a rotation, a subject also knows its former keys, so that nobody is forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

#: Hex digits of a subject's hash: 128 bits, enough that two addresses never meet.
HASH_LENGTH = 32
#: What a hashed key looks like: the id of the hash key, then the hash.
HASHED_KEY = rf"^[a-z0-9]{{1,16}}-[0-9a-f]{{{HASH_LENGTH}}}$"
#: What one customer of a provider is usually given (RFC 6177 for IPv6).
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
    """`key` is the correlation id itself, or `KEYID-HEX` for what is hashed. Subjects of two tenants never meet.

    `former` are the keys the same address or device had under hash keys replaced a while ago.
    """

    type: SubjectType
    key: str
    former: tuple[str, ...] = field(default=(), compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.former)


def correlation(correlation_id: str) -> Subject:
    return Subject(type=SubjectType.CORRELATION_ID, key=correlation_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKey:
    """A secret in force from `since_ms` (UTC milliseconds, event time) until the next one's."""

    id: str
    secret: bytes = field(repr=False)
    since_ms: int = 0


class SubjectHasher:
    """Turns raw addresses and devices into subjects. Pure; holds the secrets.

    `remember_ms`: how long after a rotation subjects are still looked for under the key it replaced.
    """

    def __init__(self, keys: Sequence[HashKey], remember_ms: int) -> None:
        """Raises ValueError unless exactly one key is in force from the beginning of time."""
        ordered = sorted(keys, key=lambda key: key.since_ms)
        if [key.since_ms for key in ordered if key.since_ms <= 0] != [0]:
            raise ValueError("exactly one hash key must be in force from 0")
        self._keys = ordered
        self._remember_ms = remember_ms

    def device(self, tenant: str | None, device_id: str, at_ms: int) -> Subject:
        return self._hashed(SubjectType.DEVICE, tenant, device_id, at_ms)

    def address(self, tenant: str | None, address: str, at_ms: int) -> Subject:
        """`address` is a valid IPv4 or IPv6 address; an IPv4-mapped one counts as IPv4."""
        return self._hashed(SubjectType.ADDRESS, tenant, str(plain_address(address)), at_ms)

    def prefix(self, tenant: str | None, address: str, at_ms: int) -> Subject:
        """The /24 or /64 the address is in."""
        plain = plain_address(address)
        network = ipaddress.ip_network((plain, PREFIX_LENGTH[plain.version]), strict=False)
        return self._hashed(SubjectType.PREFIX, tenant, str(network), at_ms)

    def _hashed(self, kind: SubjectType, tenant: str | None, value: str, at_ms: int) -> Subject:
        message = "\x00".join((kind, tenant or "", value)).encode()
        key, *former = (self._hash(key, message) for key in self._in_use(at_ms))
        return Subject(type=kind, key=key, former=tuple(former))

    def _in_use(self, at_ms: int) -> list[HashKey]:
        """The key in force and those it has not long replaced, newest first."""
        begun = [key for key in self._keys if key.since_ms <= max(at_ms, 0)]
        in_use = [begun[-1]]
        for older, newer in zip(reversed(begun[:-1]), reversed(begun[1:]), strict=True):
            if newer.since_ms + self._remember_ms > at_ms:
                in_use.append(older)
        return in_use

    @staticmethod
    def _hash(key: HashKey, message: bytes) -> str:
        return f"{key.id}-{hmac.new(key.secret, message, hashlib.sha256).hexdigest()[:HASH_LENGTH]}"


def plain_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address as it counts: IPv4 where it is only dressed as IPv6 (::ffff:a.b.c.d)."""
    parsed = ipaddress.ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def subject_document(subject: Subject) -> dict[str, str]:
    return {"type": str(subject.type), "key": subject.key}


def subject_from(document: Mapping[str, str]) -> Subject:
    return Subject(type=SubjectType(document["type"]), key=document["key"])
