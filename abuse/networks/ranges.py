"""Addresses as numbers, networks as sorted boundaries, and an index of all lists.

A set of networks is a flat, sorted sequence of boundaries: inside begins at the first, ends before the second, begins
again at the third. Together the boundaries of all lists cut the address space into segments with a known set of names
each, so that a look-up is one bisection however many lists there are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

Address = str | IPv4Address | IPv6Address

V4_BITS, V6_BITS = 32, 128
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_FIRST, _MAPPED_LAST = 0xFFFF << V4_BITS, 0xFFFF_FFFF_FFFF
_LOW = (1 << 64) - 1

#: Networks no public client can come from: IANA's special-purpose registries (RFC 6890 and its updates) and multicast.
#: Written here because Python's own table differs from one patch release to the next.
NOT_GLOBAL_V4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    "224.0.0.0/3",
)
#: Of IPv6 only 2000::/3 is handed out, so the rest of the space is listed too, multicast included.
NOT_GLOBAL_V6 = ("::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1")


def packed(text: str) -> bytes:
    """The 4 or 16 bytes of an address, without its scope (`%eth0`); raises ValueError for other text."""
    bare = text.partition("%")[0] if "%" in text else text
    try:
        return inet_pton(AF_INET6 if ":" in bare else AF_INET, bare)
    except OSError:
        raise ValueError("not an IP address") from None


def number_of(address: Address) -> tuple[int, int]:
    """Bits of the family and the address as a number. An IPv4-mapped IPv6 address is the IPv4 address.

    Raises ValueError for text that is no address.
    """
    raw = packed(address) if isinstance(address, str) else address.packed
    if len(raw) == 4:
        return V4_BITS, int.from_bytes(raw, "big")
    if raw.startswith(_MAPPED):
        return V4_BITS, int.from_bytes(raw[12:], "big")
    return V6_BITS, int.from_bytes(raw, "big")


def range_of(entry: str) -> tuple[int, int, int]:
    """Bits, first and last number of `address`, `address/length` or `first-last`. Raises ValueError.

    Bits below the prefix length are ignored, as ipset does.
    """
    if "-" in entry:
        first, _, last = entry.partition("-")
        low, high = packed(first.strip()), packed(last.strip())
        if len(low) != len(high) or low > high:
            raise ValueError("not a range")
        return _folded(len(low) * 8, int.from_bytes(low, "big"), int.from_bytes(high, "big"))
    address, slash, length = entry.partition("/")
    raw = packed(address)
    bits, number = len(raw) * 8, int.from_bytes(raw, "big")
    if not slash:
        return _folded(bits, number, number)
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
        raise ValueError("not a prefix length")
    host = (1 << (bits - int(length))) - 1
    return _folded(bits, number & ~host, number | host)


def _folded(bits: int, first: int, last: int) -> tuple[int, int, int]:
    if bits == V6_BITS and first >= _MAPPED_FIRST and last <= _MAPPED_LAST:
        return V4_BITS, first - _MAPPED_FIRST, last - _MAPPED_FIRST
    return bits, first, last


def boundaries(ranges: Iterable[int], bits: int) -> list[int]:
    """Sorted boundaries of ranges given as `first << bits | last`; ranges that overlap or touch become one."""
    mask, found, end = (1 << bits) - 1, list[int](), -1
    for both in sorted(ranges):
        start, stop = both >> bits, (both & mask) + 1
        if start > end:
            found += (start, stop)
            end = stop
        elif stop > end:
            found[-1] = end = stop
    return found


def without(bounds: Sequence[int], holes: Sequence[int]) -> list[int]:
    """The part of `bounds` that lies in none of `holes`; all as boundaries."""
    kept, hole = list[int](), 0
    for at in range(0, len(bounds), 2):
        start, stop = bounds[at], bounds[at + 1]
        while hole < len(holes) and holes[hole + 1] <= start:
            hole += 2
        inner = hole
        while inner < len(holes) and holes[inner] < stop:
            if holes[inner] > start:
                kept += (start, holes[inner])
            start = holes[inner + 1]
            inner += 2
        if start < stop:
            kept += (start, stop)
    return kept


def _table(networks: Iterable[str]) -> list[int]:
    both = [(ip_network(network), ip_network(network).max_prefixlen) for network in networks]
    codes = [int(each[0]) << bits | int(each[-1]) for each, bits in both]
    return boundaries(codes, both[0][1])


_HOLES = {V4_BITS: _table(NOT_GLOBAL_V4), V6_BITS: _table(NOT_GLOBAL_V6)}


def is_global(bits: int, number: int) -> bool:
    """Whether a client on the public internet can have this address."""
    return bisect_right(_HOLES[bits], number) % 2 == 0


@dataclass(frozen=True, slots=True)
class Ranges:
    """The globally routable part of a set of networks, as boundaries. 128 bits are kept as two halves of 64."""

    v4: array[int]
    v6_high: array[int]
    v6_low: array[int]

    @classmethod
    def of(cls, v4: Iterable[int], v6: Iterable[int]) -> Ranges:
        """From ranges given as `first << bits | last`."""
        narrow = without(boundaries(v4, V4_BITS), _HOLES[V4_BITS])
        return cls(array("I", narrow), *_halves(without(boundaries(v6, V6_BITS), _HOLES[V6_BITS])))

    @property
    def v6(self) -> Iterable[int]:
        return (high << 64 | low for high, low in zip(self.v6_high, self.v6_low, strict=True))


def _halves(numbers: Sequence[int]) -> tuple[array[int], array[int]]:
    return array("Q", [number >> 64 for number in numbers]), array("Q", [number & _LOW for number in numbers])


#: A boundary and the list it belongs to are sorted as one number.
_LIST_BITS = 8
_LIST_MASK = (1 << _LIST_BITS) - 1
#: Half of what fits, and with the databases' two names fewer than one event may carry (256).
MAX_LISTS = 128


class NetworkIndex:
    """An index from addresses to names of lists. Immutable, so that it can be swapped under readers in other threads.

    Flat arrays rather than lists of Python numbers: a tenth of the memory for a third more time.
    """

    __slots__ = ("_names_v4", "_names_v6", "_starts_v4", "_starts_v6_high", "_starts_v6_low")

    def __init__(self, lists: Mapping[str, Ranges]) -> None:
        if len(lists) > MAX_LISTS:
            raise ValueError(f"more than {MAX_LISTS} lists")
        names = sorted(lists)
        starts, self._names_v4 = _segments(names, [lists[name].v4 for name in names])
        self._starts_v4 = array("I", starts)
        starts, self._names_v6 = _segments(names, [lists[name].v6 for name in names])
        self._starts_v6_high, self._starts_v6_low = _halves(starts)

    def names(self, bits: int, number: int) -> tuple[str, ...]:
        """Sorted names of the lists that hold the address; `bits` and `number` as `number_of` returns."""
        if bits == V4_BITS:
            return self._names_v4[bisect_right(self._starts_v4, number)]
        highs, high = self._starts_v6_high, number >> 64
        first = bisect_left(highs, high)
        if first == len(highs) or highs[first] != high:
            return self._names_v6[first]
        last = bisect_right(highs, high, first)
        return self._names_v6[bisect_right(self._starts_v6_low, number & _LOW, first, last)]


def _segments(names: Sequence[str], bounds: Sequence[Iterable[int]]) -> tuple[list[int], list[tuple[str, ...]]]:
    """Starts of the segments, and their names: of the segment before the first start, after it, and so on."""
    events = sorted(bound << _LIST_BITS | which for which, each in enumerate(bounds) for bound in each)
    starts, inside = list[int](), 0
    labels: list[tuple[str, ...]] = [()]
    known: dict[int, tuple[str, ...]] = {0: ()}
    for event in events:
        start = event >> _LIST_BITS
        inside ^= 1 << (event & _LIST_MASK)
        if inside not in known:
            known[inside] = tuple(name for which, name in enumerate(names) if inside >> which & 1)
        if starts and starts[-1] == start:
            labels[-1] = known[inside]
        else:
            starts.append(start)
            labels.append(known[inside])
    return starts, labels
