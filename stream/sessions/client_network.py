"""The expected network of a session's client, kept under a hash key: neither an address nor a network is stored."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from abuse.keys.subject_hasher import SubjectHasher, plain_address


@dataclass(frozen=True, slots=True)
class ClientNetworks:
    """Keyed networks. Pure; `hasher` holds the secrets."""

    hasher: SubjectHasher

    def keyed(self, tenant: str | None, network: str, at_ms: int) -> str:
        """Text to store for an address or a network in CIDR notation, under the key in force at `at_ms`: IP
        version, length of the prefix, keyed hash."""
        parsed = ipaddress.ip_network(network)
        return f"{parsed.version}/{parsed.prefixlen} {self.hasher.network_key(tenant, str(parsed), at_ms)}"

    def holds(self, stored: str, tenant: str | None, address: str | None, at_ms: int) -> bool:
        """Whether an address is in a stored network; `at_ms` as it was stored. An unknown address is in none."""
        if address is None:
            return False
        plain = plain_address(address)
        version, _, length = stored.partition(" ")[0].partition("/")
        if str(plain.version) != version:
            return False
        network = ipaddress.ip_network((plain, int(length)), strict=False)
        return self.keyed(tenant, str(network), at_ms) == stored
