"""Addresses, ranges and the index against the standard library's slow and plain way."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.networks.netset import parse
from abuse.networks.ranges import (
    MAX_LISTS,
    NOT_GLOBAL_V4,
    NOT_GLOBAL_V6,
    NetworkIndex,
    Ranges,
    is_global,
    number_of,
    range_of,
)

#: Few places, so that networks of different lists overlap, touch and nest; edges of holes among them.
V4_PLACES = ("93.184.216.0", "172.15.255.0", "172.32.0.0", "9.255.255.255", "223.255.255.0", "8.8.8.8", "1.0.0.0")
V6_PLACES = ("2606:2800:220:1::", "2000::", "3fff:1000::", "2001:db9::", "2001:200::", "2a00:1450:4001:80b::200e")

near = st.integers(-300, 300)
v4_addresses = st.builds(
    lambda place, off: IPv4Address((int(IPv4Address(place)) + off) % 2**32), st.sampled_from(V4_PLACES), near
) | st.builds(IPv4Address, st.integers(0, 2**32 - 1))
v6_addresses = st.builds(
    lambda place, off, shift: IPv6Address((int(IPv6Address(place)) + (off << shift)) % 2**128),
    st.sampled_from(V6_PLACES),
    near,
    st.sampled_from((0, 60, 64, 80)),
) | st.builds(IPv6Address, st.integers(0, 2**128 - 1))
addresses = v4_addresses | v6_addresses


@st.composite
def entries(draw):
    """A line of a list, and the same as the standard library's networks."""
    first = draw(addresses)
    kind = draw(st.sampled_from(("address", "network", "range")))
    if kind == "range":
        last = draw(v4_addresses if first.version == 4 else v6_addresses)
        first, last = sorted((first, last))
        text = f"{first}{draw(st.sampled_from(('-', ' - ')))}{last}"
        return text, list(ipaddress.summarize_address_range(first, last))
    if kind == "address":
        return str(first), [ip_network(first)]
    text = f"{first}/{draw(st.integers(0, first.max_prefixlen))}"
    return text, [ip_network(text, strict=False)]


HOLES = [ip_network(each) for each in (*NOT_GLOBAL_V4, *NOT_GLOBAL_V6)]


def naively(lists, address):
    if any(address in hole for hole in HOLES if hole.version == address.version):
        return ()
    listed = (name for name, each in lists.items() if any(address in net for _, nets in each for net in nets))
    return tuple(sorted(listed))


def edges(lists):
    """Addresses where an error by one would show: first and last of every entry, and their neighbours."""
    for each in lists.values():
        for _, networks in each:
            for place in (networks[0][0], networks[-1][-1]):
                numbers = [int(place) + off for off in (-1, 0, 1)]
                yield from (type(place)(number) for number in numbers if 0 <= number < 2**place.max_prefixlen)


@given(
    lists=st.dictionaries(st.sampled_from(("tor", "vpn", "hosting", "a-1")), st.lists(entries(), max_size=12)),
    others=st.lists(addresses, max_size=10),
)
def test_index_as_brute_force(lists, others):
    texts = {name: "# a list\n" + "\n".join(text for text, _ in each) for name, each in lists.items()}
    index = NetworkIndex({name: parse(text.encode()).ranges for name, text in texts.items()})
    for address in (*edges(lists), *others):
        assert index.names(*number_of(address)) == naively(lists, address)
        assert index.names(*number_of(str(address))) == naively(lists, address)


@given(text=st.text(alphabet="0123456789abcdef:./-% \n\x00é", max_size=20))
def test_addresses_of_the_standard_library(text):
    try:
        expected = ip_address(text)
    except ValueError:
        if "%" not in text:  # a scope may be anything: it is no part of the address
            with pytest.raises(ValueError, match=r"."):
                number_of(text)
    else:
        assert number_of(text)[1] in (int(expected), int(expected) & 0xFFFF_FFFF)


@pytest.mark.parametrize("text", ["::ffff:93.184.216.34", "::ffff:5db8:d822", "::FFFF:93.184.216.34%eth0"])
def test_mapped_address_is_ipv4(text):
    assert number_of(text) == number_of("93.184.216.34")
    assert number_of(IPv6Address("::ffff:93.184.216.34")) == number_of(IPv4Address("93.184.216.34"))


def test_scope_is_dropped():
    assert number_of("2606:2800::1%eth0") == number_of("2606:2800::1") == number_of(IPv6Address("2606:2800::1%7"))


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "01.2.3.4", "1.2.3.4 ", "1.2.3.256", "host", "1.2.3.4/24", ":::", "１.2.3.4"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"^not an IP address$"):
        number_of(text)


@pytest.mark.parametrize(
    ("entry", "first", "last"),
    [
        ("93.184.216.34", "93.184.216.34", "93.184.216.34"),
        ("93.184.216.34/24", "93.184.216.0", "93.184.216.255"),
        ("93.184.216.34/0", "0.0.0.0", "255.255.255.255"),
        ("93.184.216.250-93.184.217.3", "93.184.216.250", "93.184.217.3"),
        ("::ffff:93.184.216.0/120", "93.184.216.0", "93.184.216.255"),
        ("::ffff:1.0.0.0-::ffff:1.0.0.9", "1.0.0.0", "1.0.0.9"),
        ("2606:2800::/32", "2606:2800::", "2606:2800:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2606::5 - 2606::9", "2606::5", "2606::9"),
    ],
)
def test_entries(entry, first, last):
    address = ip_address(first)
    assert range_of(entry) == (address.max_prefixlen, int(address), int(ip_address(last)))


@pytest.mark.parametrize(
    "entry",
    [
        *("1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "1.2.3.4/2x", "1.2.3.4/٣", "2606::/129", "1.2.3.4/8/8"),
        *("1.2.3.9-1.2.3.4", "1.2.3.4-2606::", "1.2.3.4-", "-", "/", "1.2.3.0/255.255.255.0", "1.2.3.0/24-1.2.4.0/24"),
        *("example.org", "1.2.3.4 5.6.7.8", "1.2.3.4,AB"),
    ],
)
def test_malformed_entries_are_refused(entry):
    with pytest.raises(ValueError, match=r"."):
        range_of(entry)


SPECIAL = (
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "203.0.113.7", "224.0.0.1", "255.255.255.255"),
    *("::", "::1", "64:ff9b::1.2.3.4", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2001::1"),
    *("2002:102:304::1", "3fff::1", "4000::1", "::ffff:10.0.0.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
)
PUBLIC = (
    *("1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.0.1.0", "192.167.255.255", "198.20.0.0", "223.255.255.255", "2000::", "2001:200::"),
    *("2001:db7:ffff::", "2001:db9::", "2003::1", "2a00:1450::1", "3ffe::1", "::ffff:8.8.8.8"),
)


@pytest.mark.parametrize(
    ("address", "public"), [*((each, False) for each in SPECIAL), *((each, True) for each in PUBLIC)]
)
def test_only_public_addresses_are_listed(address, public):
    """Even by a list of everything."""
    everything = NetworkIndex({"everything": parse(b"0.0.0.0/0\n::/0\n").ranges})
    assert is_global(*number_of(address)) is public
    assert everything.names(*number_of(address)) == (("everything",) if public else ())


@given(address=addresses)
def test_addresses_as_the_library_has_them(address):
    plain = getattr(address, "ipv4_mapped", None) or address
    assert number_of(str(address)) == number_of(address) == (plain.max_prefixlen, int(plain))
    if not plain.is_global or plain.is_multicast or plain.is_reserved:
        assert not is_global(plain.max_prefixlen, int(plain))


def test_boundaries_inside_64_bits():
    ranges = parse(b"2606::5-2606::9\n2606::b\n2606:0:0:1::/64\n2605:ffff:ffff:ffff:ffff::/80\n").ranges
    index = NetworkIndex({"x": ranges})
    inside = ["2606::5", "2606::9", "2606::b", "2606:0:0:1::", "2606:0:0:1:ffff:ffff:ffff:ffff"]
    outside = ["2606::4", "2606::a", "2606::c", "2606:0:0:2::", "2605:ffff:ffff:ffff:fffe:ffff::", "2606::"]
    assert [address for address in (*inside, *outside) if index.names(*number_of(address))] == inside


def test_number_of_lists_is_bounded():
    lists = {f"list-{n:03}": parse(f"8.8.{n}.0-8.8.255.255\n".encode()).ranges for n in range(MAX_LISTS)}
    index = NetworkIndex(lists)
    for n in range(MAX_LISTS):
        assert index.names(*number_of(f"8.8.{n}.1")) == tuple(sorted(lists)[: n + 1])
    with pytest.raises(ValueError, match="more than"):
        NetworkIndex({**lists, "one-more": Ranges.of([], [])})
