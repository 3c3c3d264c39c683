"""Cost of looking up an address's networks, and of reading the lists.

    python tests/bench/network_lookup.py [lists] [networks a list]

Lists are random: three quarters IPv4 and one IPv6 of single addresses and short prefixes. Prints the time from an
address's text to its names, for addresses that are listed and that aren't; the time to read the folder and the
longest pause this makes on an event loop in the same process; and the memory that stays.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import tempfile
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import psutil
import structlog
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from abuse.networks.geo import ASN, GeoDatabase
from abuse.networks.lists import NetworkLists
from abuse.networks.networks import Networks

NOW_MS = time.time_ns() // 1_000_000
LOOKUPS = 20_000
MIB = 1024 * 1024
TICK_S = 0.001
HEADER = "# This File Date  : Mon Nov 10 06:15:03 UTC 2025\n"


def v4(chance: random.Random) -> str:
    return str(IPv4Address(chance.randrange(1 << 24, 223 << 24)))


def v6(chance: random.Random) -> str:
    return str(IPv6Address((0x2A << 120) | chance.getrandbits(112) << 8))


def written(folder: Path, lists: int, networks: int) -> list[str]:
    """Fills the folder; returns some listed addresses."""
    chance, listed = random.Random(7), list[str]()
    for each in range(lists):
        addresses = [v6(chance) if chance.random() < 0.25 else v4(chance) for _ in range(networks)]
        entries = [f"{a}/{chance.choice((48, 64, 128) if ':' in a else (22, 24, 29, 32))}" for a in addresses]
        (folder / f"list_{each}.netset").write_text(HEADER + "\n".join(entries) + "\n")
        listed += chance.sample(addresses, min(networks, LOOKUPS // lists))
    return listed


def measured(label: str, networks: Networks, addresses: list[str]) -> None:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for address in addresses:
            networks.names(address)
        best = min(best, time.perf_counter() - started)
    found = sum(bool(networks.names(address)) for address in addresses) / len(addresses)
    print(f"{label:>24}: {best / len(addresses) * 1e6:6.2f} µs a look-up, text included ({found:.0%} found)")


async def longest_pause(work: asyncio.Task[None]) -> float:
    """While the work goes on the loop asks to be woken at every tick; how late it is woken is a pause."""
    longest = 0.0
    while not work.done():
        before = time.perf_counter()
        await asyncio.wait([work], timeout=TICK_S)
        longest = max(longest, time.perf_counter() - before - TICK_S)
    return longest


async def read(lists: NetworkLists) -> None:
    started = time.perf_counter()
    work = asyncio.ensure_future(asyncio.to_thread(lists.refresh, NOW_MS))
    pause = await longest_pause(work)
    print(f"{'reading':>24}: {time.perf_counter() - started:6.2f} s, longest pause of the loop {pause * 1e3:.0f} ms")


def geo(folder: Path) -> None:
    """A database of 10 000 networks, a twentieth of a real one: the tree is as deep, records as long."""
    chance, file = random.Random(9), folder / "asn.mmdb"
    writer = MMDBWriter(6, "GeoLite2-ASN", ipv4_compatible=True)
    addresses = [v4(chance) for _ in range(10_000)]
    for number, address in enumerate(addresses, 1):
        network = IPSet([f"{address}/24"])
        writer.insert_network(network, {"autonomous_system_number": number, "autonomous_system_organization": "x" * 20})
    writer.to_db_file(str(file))
    measured("mmdb, IPv4", Networks(None, [GeoDatabase(file, ASN)]), addresses)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    lists, networks = (int(each) for each in (*sys.argv[1:3], *("5", "50000")[len(sys.argv) - 1 :]))
    chance = random.Random(8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = written(folder, lists, networks)
        gc.collect()
        before = psutil.Process().memory_info().rss
        opened = NetworkLists(folder, max_age_days=36500)
        asyncio.run(read(opened))
        gc.collect()
        kept = psutil.Process().memory_info().rss - before
        print(f"{'memory':>24}: {kept / MIB:6.1f} MiB more after reading {lists} lists of {networks}")
        everything = Networks(opened, ())
        measured("listed IPv4", everything, [address for address in listed if ":" not in address])
        measured("listed IPv6", everything, [address for address in listed if ":" in address])
        measured("random IPv4", everything, [v4(chance) for _ in range(LOOKUPS)])
        measured("random IPv6", everything, [v6(chance) for _ in range(LOOKUPS)])
        measured("private", everything, ["10.1.2.3"] * LOOKUPS)
        geo(folder)


if __name__ == "__main__":
    main()
