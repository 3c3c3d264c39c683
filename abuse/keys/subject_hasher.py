"""Keyed hashes of addresses and devices, which stand for the raw values outside the event."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from abuse.keys.key_periods import HashKey, KeyPeriods
from abuse.subjects import HASH_LENGTH, PREFIX_LENGTH, Subject, SubjectType

Address: TypeAlias = str | ipaddress.IPv4Address | ipaddress.IPv6Address


class SubjectHasher:
    """Subjects of raw addresses and devices. Pure; holds the secrets.

    `remember_ms`: how long after a change of keys subjects are still looked for under the former key.
    """

    def __init__(self, keys: Sequence[HashKey], remember_ms: int) -> None:
        """Raises ValueError unless exactly one key is in force from the beginning of time."""
        self._periods = KeyPeriods(keys)
        self._remember_ms = remember_ms

    def device(self, tenant: str | None, device_id: str, at_ms: int) -> Subject:
        return self._hashed(SubjectType.DEVICE, tenant, device_id, at_ms)

    def address(self, tenant: str | None, address: Address, at_ms: int) -> Subject:
        """`address` is a valid IPv4 or IPv6 address; an IPv4-mapped one counts as IPv4."""
        return self._hashed(SubjectType.ADDRESS, tenant, str(plain_address(address)), at_ms)

    def prefix(self, tenant: str | None, address: Address, at_ms: int) -> Subject:
        """The /24 (IPv4) or /64 (IPv6) that the address is in."""
        plain = plain_address(address)
        network = ipaddress.ip_network((plain, PREFIX_LENGTH[plain.version]), strict=False)
        return self._hashed(SubjectType.PREFIX, tenant, str(network), at_ms)

    def network_key(self, tenant: str | None, network: str, at_ms: int) -> str:
        """Keyed hash of a network in CIDR notation, under the key in force at `at_ms`. No subject: nothing is observed
        by it."""
        message = "\x00".join(("network", tenant or "", network)).encode()
        return self._hash(self._periods.in_force(at_ms), message)

    def _hashed(self, kind: SubjectType, tenant: str | None, value: str, at_ms: int) -> Subject:
        message = "\x00".join((kind, tenant or "", value)).encode()
        key, *former = (self._hash(key, message) for key in self._periods.within(at_ms - self._remember_ms, at_ms))
        return Subject(type=kind, key=key, former=tuple(former))

    @staticmethod
    def _hash(key: HashKey, message: bytes) -> str:
        return f"{key.id}-{hmac.digest(key.secret, message, 'sha256').hex()[:HASH_LENGTH]}"


def plain_address(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address, as IPv4 where it is an IPv4-mapped IPv6 address (::ffff:a.b.c.d)."""
    parsed = ipaddress.ip_address(address) if isinstance(address, str) else address
    return getattr(parsed, "ipv4_mapped", None) or parsed
