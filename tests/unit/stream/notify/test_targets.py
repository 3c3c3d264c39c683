"""Targets that may be posted to: a table of addresses in every spelling, and names that lead to them."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from aiohttp import ThreadedResolver

from config.errors import SettingsError
from config.groups.services import WebhookSettings
from stream.notify.targets import CheckedResolver, TargetRefused, check_host, target_of, why_refused
from tests.unit.stream.notify.builders import FakeLookup

PUBLIC = [
    *("8.8.8.8", "93.184.216.34", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.167.255.255", "11.0.0.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "2001:4860:4860::8888"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
]
#: Inside somebody's network: allowed where the operator says so.
PRIVATE = [
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.255.255.254"),
    *("100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("192.88.99.1", "240.0.0.1", "::1", "fc00::1", "fd12:3456::1", "fec0::1", "2001:db8::1", "3fff::1"),
    *("2001::1", "2001:10::1", "100::1", "64:ff9b:1::1", "::127.0.0.1", "::8.8.8.8", "4000::1", "5f00::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1"),
    *("2002:a00:1::1", "2002:7f00:1::", "2002:c0a8:101::1", "::ffff:100.64.0.1"),
]
#: Nobody's receiver.
NEVER = [
    *("0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.255.255.255", "::", "ff02::1", "ff0e::1"),
    *("169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%1", "febf::1", "fd00:ec2::254", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("::ffff:0.0.0.0", "::ffff:168.63.129.16", "64:ff9b::168.63.129.16", "64:ff9b::224.0.0.1"),
]


def settings(url: str | None, *, allow_private: bool = False, secret: str | None = "x" * 32) -> WebhookSettings:
    return WebhookSettings(url=url, secret=secret, allow_private=allow_private)


def in_a_url(address: str) -> str:
    return f"https://[{address}]/x" if ":" in address else f"https://{address}/x"


#: Words of the refusal of an address, without and with `allow_private`; None: not refused.
REFUSALS = [
    *((address, None, None) for address in PUBLIC),
    *((address, "allow_private", None) for address in PRIVATE),
    *((address, "no receiver", "no receiver") for address in NEVER),
]


@pytest.mark.parametrize(("address", "refused", "refused_if_allowed"), REFUSALS)
def test_addresses(address, refused, refused_if_allowed):
    meant = ipaddress.ip_address(address)
    for allow_private, words in ((False, refused), (True, refused_if_allowed)):
        why = why_refused(meant, allow_private=allow_private)
        assert why is None if words is None else words in (why or "")
    if "%" in address:
        return
    if refused is None:
        assert ipaddress.ip_address(target_of(settings(in_a_url(address))).host) == meant
        return
    with pytest.raises(SettingsError, match=r"^webhook\.url: ") as error:
        target_of(settings(in_a_url(address)))
    assert address not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example.org", "https://", "https:///path", "ftp://hooks.example.org/", "file:///etc/passwd"),
        *("https://me@hooks.example.org/", "https://me:pw@hooks.example.org/", "https://:pw@hooks.example.org/"),
        *("https://hooks.example.org:0/", "https://hooks.example.org:99999/", "https://hooks.example.org:x/"),
        *("https://[::1", "https://2130706433/", "https://127.1/", "https://0x7f.0.0.1/", "https://0x7f000001/"),
        *("https://10.1/", "https://127.0.0.1./", "https://１２７.0.0.1/", "https://example.1/", "https://0177.0.0.1/"),
        *("http://hooks.example.org/", "http://8.8.8.8/"),
    ],
)
def test_refused_urls(url):
    with pytest.raises(SettingsError, match=r"^webhook\.url: ") as refused:
        target_of(settings(url))
    assert "pw" not in str(refused.value)
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        *((f"http://{host}/x", True) for host in ("127.0.0.1:8080", "hooks.internal", "10.0.0.1", "[::1]:8080")),
        *((url, False) for url in ("https://me:pw@10.0.0.1/x", "gopher://10.0.0.1/", "http://169.254.169.254/latest")),
    ],
)
def test_private_targets_where_allowed(url, allowed):
    if allowed:
        assert str(target_of(settings(url, allow_private=True)).url) == url
    for allow_private in (False,) if allowed else (False, True):
        with pytest.raises(SettingsError):
            target_of(settings(url, allow_private=allow_private))


@pytest.mark.parametrize(("url", "secret"), [(None, None), ("https://hooks.example.org/p4th", None), (None, "s" * 32)])
def test_both_or_nothing(url, secret):
    with pytest.raises(SettingsError, match=r"webhook\.url and webhook\.secret: nothing is posted unless both") as no:
        target_of(settings(url, secret=secret))
    assert "p4th" not in str(no.value)


def test_only_the_origin_shows():
    target = target_of(settings("https://hooks.example.org:8443/p4th?token=t0ken"))
    assert target.origin == "https://hooks.example.org:8443"
    assert "p4th" not in repr(target)
    assert "t0ken" not in repr(target)


async def test_public_name_as_checked():
    lookup = FakeLookup(["8.8.8.8", "2606:4700:4700::1111"])
    found = await CheckedResolver(lookup, allow_private=False).resolve("hooks.example.org", 443)
    assert [entry["host"] for entry in found] == ["8.8.8.8", "2606:4700:4700::1111"]


@pytest.mark.parametrize("answer", [["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "fe80::1"], ["elsewhere.example.org"]])
async def test_one_unfit_answer_refuses(answer):
    with pytest.raises(TargetRefused) as refused:
        await CheckedResolver(FakeLookup(answer), allow_private=False).resolve("hooks.example.org", 443)
    assert not set(answer) & set(str(refused.value).split())


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_system_s_reading_is_checked(host):
    """getaddrinfo turns any spelling into the address that is checked."""
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        pytest.skip("this system doesn't read it as an address")
    with pytest.raises(TargetRefused):
        await CheckedResolver(ThreadedResolver(), allow_private=False).resolve(host, 443)


async def test_name_is_checked_at_start():
    target = target_of(settings("https://hooks.example.org/p4th"))
    refusing = CheckedResolver(FakeLookup(["10.0.0.1"]), allow_private=False)
    with pytest.raises(SettingsError, match=r"^webhook\.url: the host's address can't be used"):
        await check_host(target, refusing, timeout_s=5)
    unknown = CheckedResolver(FakeLookup([]), allow_private=False)
    await check_host(target, unknown, timeout_s=5)  # a name server may be away for a moment
