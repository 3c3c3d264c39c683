"""Targets that may be posted to: none inside the network, unless the operator allows it.

A person who may set the address could otherwise reach what only this machine reaches (server-side request forgery):
databases, control planes, the cloud's metadata service. A name is looked up here, all its addresses are checked, and
exactly the checked addresses are connected to, so that a second, different answer of the name server is never used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import structlog
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from abuse.networks.ranges import is_global, number_of
from config.errors import SettingsError
from config.groups.services import WebhookSettings
from config.legal_values import HIGHEST_PORT

log = structlog.get_logger()

Address = IPv4Address | IPv6Address

#: Well-known NAT64 prefix (RFC 6052): the last 32 bits are the IPv4 address that is meant.
_NAT64 = IPv6Network("64:ff9b::/96")

#: Never a receiver, even where private addresses are allowed: this host, link-local (which has the clouds' metadata
#: services), groups; and the metadata services that have other addresses (Azure, AWS over IPv6, Alibaba, Oracle).
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/128", "fe80::/10", "ff00::/8"),
        *("168.63.129.16/32", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32"),
    )
)


class TargetRefused(Exception):
    """Refusal of an address that may not be posted to; the message doesn't name the address."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Checked URL of a receiver. Path and query may be secrets, so neither is ever shown."""

    url: URL = field(repr=False)
    allow_private: bool

    @property
    def origin(self) -> str:
        """Scheme, host and port, for people."""
        return str(self.url.origin())

    @property
    def host(self) -> str:
        return self.url.raw_host or ""


def target_of(webhook: WebhookSettings) -> WebhookTarget:
    """Target of the settings, checked without asking a name server. Raises SettingsError, which quotes no value."""
    if webhook.url is None or webhook.secret is None:
        raise SettingsError(
            "webhook.url and webhook.secret: nothing is posted unless both are set "
            "(LIVENESS_WEBHOOK__URL, LIVENESS_WEBHOOK__SECRET)"
        )
    try:
        # The client's own reading of it: checking one reading and using another would be a way around the check.
        url = URL(webhook.url.get_secret_value())
        port = url.port
    except ValueError:
        raise SettingsError("webhook.url: not a URL") from None
    if fault := _fault(url, port, webhook.allow_private):
        raise SettingsError(f"webhook.url: {fault}")
    return WebhookTarget(url, webhook.allow_private)


def _fault(url: URL, port: int | None, allow_private: bool) -> str | None:
    host = url.raw_host
    if url.scheme not in (("https", "http") if allow_private else ("https",)) or not host:
        return "expected https://host/..." + ("" if allow_private else " (webhook.allow_private also allows http)")
    if url.user is not None or url.password is not None:
        return "user and password in it are not supported: the signature says who sends"
    if port is None or not 0 < port <= HIGHEST_PORT:
        return "not a port"
    literal = _literal(host)
    if literal is None:
        # Name servers are not asked for numbers: `127.1` and `0x7f000001` are addresses to the system's own reader.
        return "write the address in full" if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", _last_label(host)) else None
    return why_refused(literal, allow_private=allow_private)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _last_label(host: str) -> str:
    return host.rstrip(".").rpartition(".")[2].lower()


def why_refused(address: Address, *, allow_private: bool) -> str | None:
    """Reason why an address may not be connected to; None if it may."""
    meant = _meant(address)
    if any(meant in network for network in _NEVER if network.version == meant.version):
        return "it is no receiver's address (this host, link-local, multicast or a cloud's metadata service)"
    if allow_private or _is_public(meant):
        return None
    return "it is not a public address; webhook.allow_private allows receivers inside your own network"


def _meant(address: Address) -> Address:
    """IPv4 address that an IPv6 address only wraps (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


def _is_public(address: Address) -> bool:
    """Whether an address is public by Python's table and by ours, which does not change with the interpreter."""
    return address.is_global and not address.is_multicast and not address.is_reserved and is_global(*number_of(address))


class CheckedResolver(AbstractResolver):
    """Name server of the HTTP client: asked once a connection, answers with checked addresses or refuses.

    One refused address refuses the whole name: no honest name has both kinds.
    """

    def __init__(self, lookup: AbstractResolver, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Checked addresses of a host. Raises TargetRefused, or OSError when the name server doesn't know the host."""
        found = await self._lookup.resolve(host, port, family)
        for entry in found:
            address = _literal(entry["host"])
            if address is None:
                raise TargetRefused("the name server answered with something that is no address")
            if why := why_refused(address, allow_private=self._allow_private):
                raise TargetRefused(f"the host's address can't be used: {why}")
        return found

    async def close(self) -> None:
        await self._lookup.close()


async def check_host(target: WebhookTarget, resolver: AbstractResolver | None = None, *, timeout_s: float) -> None:
    """Refuse at once a host that every attempt would refuse; a name server that is away may come back.

    Called before the process starts; may be repeated; `resolver` is replaced only by tests. Raises SettingsError.
    """
    checked = resolver or CheckedResolver(ThreadedResolver(), allow_private=target.allow_private)
    try:
        async with asyncio.timeout(timeout_s):
            await checked.resolve(target.host, target.url.port or 0)
    except TargetRefused as error:
        raise SettingsError(f"webhook.url: {error}") from None
    except OSError as error:  # TimeoutError is one too
        log.warning("webhook_host_unknown", fault=type(error).__name__)
