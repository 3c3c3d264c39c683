"""Lists and databases together, and the task that keeps them current."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_address

import pytest

from abuse.networks.networks import Networks, no_networks, open_networks, watch_networks
from config.errors import SettingsError
from config.groups.abuse_table import AbuseSettings
from tests.unit.abuse.networks.network_folders import NOW_MS, netset, put
from tests.unit.abuse.networks.test_networks_geo import asn, country, database

ADDRESS = "93.184.216.34"
DEADLINE_S = 20.0


@pytest.fixture
def settings(tmp_path) -> AbuseSettings:
    folder = tmp_path / "lists"
    folder.mkdir()
    put(folder / "tor.netset", netset("93.184.216.0/24", "10.0.0.0/8"))
    put(folder / "box.netset", netset(ADDRESS))
    everyone = "0.0.0.0/0"
    return AbuseSettings(
        network_lists=folder,
        asn_database=database(tmp_path / "asn.mmdb", {everyone: asn(64500)}),
        country_database=database(tmp_path / "country.mmdb", {everyone: country("DE")}),
    )


def test_names_of_an_address(settings):
    networks = open_networks(settings, NOW_MS)
    assert networks.names(ADDRESS) == ("asn-64500", "box", "country-de", "tor")
    assert networks.names(f"::ffff:{ADDRESS}") == networks.names(ip_address(ADDRESS)) == networks.names(ADDRESS)
    assert networks.names("8.8.8.8") == ("asn-64500", "country-de")
    assert networks.names("2606:2800::1") == ()


@pytest.mark.parametrize("address", ["10.1.2.3", "::1", "fe80::1%eth0", "192.168.0.1", "::ffff:10.1.2.3"])
def test_special_address_has_no_names(settings, address):
    assert open_networks(settings, NOW_MS).names(address) == ()


def test_lists_alone_and_nothing(settings):
    lists = open_networks(AbuseSettings(network_lists=settings.network_lists), NOW_MS)
    assert (lists.names(ADDRESS), lists.configured) == (("box", "tor"), True)
    for nothing in (open_networks(AbuseSettings(), NOW_MS), no_networks()):
        nothing.refresh(NOW_MS)
        assert (nothing.names(ADDRESS), nothing.names("2606::1"), nothing.configured) == ((), (), False)
        assert (nothing.state().lists, nothing.state().databases) == ((), ())


def test_other_text_is_an_error():
    with pytest.raises(ValueError, match="not an IP address"):
        no_networks().names("example.org")


def test_state_names_files_in_use(settings):
    networks = open_networks(settings, NOW_MS)
    state = networks.state()
    lists = [(each.name, each.used, each.networks, each.age_days) for each in state.lists]
    assert lists == [("box", True, 1, 0.0), ("tor", True, 2, 0.0)]
    databases = [(each.setting, each.why) for each in state.databases]
    assert databases == [("abuse.asn_database", None), ("abuse.country_database", None)]
    settings.network_lists.rename(settings.network_lists.with_name("away"))
    networks.refresh(NOW_MS)
    assert networks.state().folder_fault == "No such file or directory"
    assert networks.names(ADDRESS) == ("asn-64500", "box", "country-de", "tor")


@pytest.mark.parametrize("name", ["network_lists", "asn_database", "country_database"])
def test_missing_file_at_startup_is_named(settings, tmp_path, name):
    with pytest.raises(SettingsError, match=rf"^abuse\.{name}: "):
        open_networks(settings.model_copy(update={name: tmp_path / "missing"}), NOW_MS)


class Watched:
    """A watch under test: its states, and a wait for a state."""

    def __init__(self, networks: Networks) -> None:
        self.states = []
        self.now_ms = NOW_MS
        self._news = asyncio.Event()
        self.watch = watch_networks(networks, lambda: self.now_ms, 0.01, self._note)

    def _note(self, state) -> None:
        self.states.append(state)
        self._news.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def watched(settings):
    networks = open_networks(settings, NOW_MS)
    watched = Watched(networks)
    watched.networks = networks
    task = asyncio.create_task(watched.watch)
    yield watched
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_watch_picks_up_changes(watched, settings):
    await watched.until(lambda: watched.states)
    assert [each.name for each in watched.states[0].lists] == ["box", "tor"]
    put(settings.network_lists / "vpn.netset", netset("8.8.8.8"))
    database(settings.asn_database, {"0.0.0.0/0": asn(64999)})
    await watched.until(lambda: watched.networks.names("8.8.8.8") == ("asn-64999", "country-de", "vpn"))
    await watched.until(lambda: len(watched.states[-1].lists) == 3)
    watched.now_ms += 100 * 24 * 3600 * 1000
    await watched.until(lambda: not any(each.used for each in watched.states[-1].lists))
    assert watched.networks.names(ADDRESS) == ("asn-64999", "country-de")


async def test_watch_survives_broken_files(watched, settings):
    for file in settings.network_lists.iterdir():
        file.write_bytes(b"\xff\x00 nonsense")
    settings.asn_database.write_bytes(b"")
    settings.country_database.unlink()
    await watched.until(lambda: watched.states[-1:] and all(each.why for each in watched.states[-1].lists))
    await watched.until(lambda: all(each.why for each in watched.states[-1].databases))
    settings.network_lists.rename(settings.network_lists.with_name("away"))
    await watched.until(lambda: watched.states[-1].folder_fault)
    assert watched.networks.names(ADDRESS) == ("asn-64500", "box", "country-de", "tor")


async def test_files_are_read_in_a_thread():
    looked = asyncio.Event()
    loop, threads = asyncio.get_running_loop(), []

    class Looking(Networks):
        configured = True

        def refresh(self, now_ms):
            threads.append((threading.current_thread(), now_ms))
            loop.call_soon_threadsafe(looked.set)

    task = asyncio.create_task(watch_networks(Looking(None, ()), lambda: 7, 0.001, lambda state: None))
    async with asyncio.timeout(DEADLINE_S):
        await looked.wait()
    task.cancel()
    assert threads[0][1] == 7
    assert threads[0][0] is not threading.current_thread()


async def test_watch_of_nothing_ends():
    states = []
    async with asyncio.timeout(DEADLINE_S):
        await watch_networks(no_networks(), lambda: 0, 3600.0, states.append)
    assert len(states) == 1


def test_readers_see_whole_versions(settings):
    """Both lists always hold the address together: half of a change would show as one of them alone."""
    networks = open_networks(AbuseSettings(network_lists=settings.network_lists), NOW_MS)
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(networks.names(ADDRESS))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(30):
            text = netset("8.8.8.8" if turn % 2 else ADDRESS, f"1.1.1.{turn}")
            for name in ("tor", "box"):
                put(settings.network_lists / f"{name}.netset", text)
            networks.refresh(NOW_MS)
    finally:
        done.set()
        reader.join()
    assert seen
    assert seen <= {(), ("box", "tor")}
