"""From what an event says about its sender to where it came from, with nothing left that names anybody."""

from __future__ import annotations

import ipaddress
from typing import Protocol

from abuse.keys.subject_hasher import SubjectHasher, plain_address
from abuse.observation import Origin


class NetworkNames(Protocol):
    def names(self, address: str) -> tuple[str, ...]:
        """Names of the lists the address is on, sorted. Pure look-up, microseconds."""


class OriginReader:
    """Without a hasher nothing can be told apart, so neither devices nor addresses are observed."""

    def __init__(self, hasher: SubjectHasher | None, networks: NetworkNames) -> None:
        self._hasher = hasher
        self._networks = networks

    def origin(
        self,
        tenant: str | None,
        *,
        device_id: str | None,
        client_ip: str | None,
        expected: str | None,
        at_ms: int,
    ) -> Origin:
        """`client_ip` is an address and `expected` a network, both valid; `at_ms` is event time."""
        networks = () if client_ip is None else self._networks.names(client_ip)
        as_expected = None if client_ip is None or expected is None else _within(client_ip, expected)
        if self._hasher is None:
            return Origin(networks=networks, as_expected=as_expected)
        return Origin(
            device=None if device_id is None else self._hasher.device(tenant, device_id, at_ms),
            address=None if client_ip is None else self._hasher.address(tenant, client_ip, at_ms),
            prefix=None if client_ip is None else self._hasher.prefix(tenant, client_ip, at_ms),
            networks=networks,
            as_expected=as_expected,
        )


def _within(address: str, network: str) -> bool:
    plain, expected = plain_address(address), ipaddress.ip_network(network)
    return plain.version == expected.version and plain in expected
