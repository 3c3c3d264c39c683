"""Origins: an event's sender as hashed subjects and names of networks, without anything that names a person."""

from __future__ import annotations

import ipaddress
from typing import Protocol

from abuse.keys.subject_hasher import Address, SubjectHasher, plain_address
from abuse.observation import Origin


class NetworkNames(Protocol):
    def names(self, address: Address) -> tuple[str, ...]:
        """Sorted names of the networks the address is in. Never blocks; microseconds."""


class OriginReader:
    """The reader of senders. Without a hasher neither devices nor addresses are observed."""

    def __init__(self, hasher: SubjectHasher | None, networks: NetworkNames) -> None:
        self._hasher = hasher
        self._networks = networks

    def origin(
        self, tenant: str | None, *, device_id: str | None, client_ip: str | None, expected: str | None, at_ms: int
    ) -> Origin:
        """The origin of a submission. `client_ip`: valid address; `expected`: valid network; `at_ms`: event time."""
        address = None if client_ip is None else plain_address(client_ip)
        networks = () if address is None else self._networks.names(address)
        as_expected = None if address is None or expected is None else _within(address, expected)
        if self._hasher is None:
            return Origin(networks=networks, as_expected=as_expected)
        return Origin(
            device=None if device_id is None else self._hasher.device(tenant, device_id, at_ms),
            address=None if address is None else self._hasher.address(tenant, address, at_ms),
            prefix=None if address is None else self._hasher.prefix(tenant, address, at_ms),
            networks=networks,
            as_expected=as_expected,
        )


def _within(address: Address, network: str) -> bool:
    plain, expected = plain_address(address), ipaddress.ip_network(network)
    return plain.version == expected.version and plain in expected
