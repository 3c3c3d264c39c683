"""Networks of an address: the operator's lists, the autonomous system, the country.

`open_networks` is called at start-up, `names` for each submission; `watch_networks` keeps lists and databases current.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from abuse.networks.geo import ASN, COUNTRY, DatabaseKind, DatabaseState, GeoDatabase, plain
from abuse.networks.lists import ListState, NetworkLists
from abuse.networks.ranges import Address, number_of
from abuse.networks.watched_files import keep_current
from config.groups.abuse_table import AbuseSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworksState:
    """Lists and databases in use, for logs and metrics. `folder_fault`: why the lists' folder can't be read, while the
    last lists stay in use."""

    lists: tuple[ListState, ...] = ()
    databases: tuple[DatabaseState, ...] = ()
    folder_fault: str | None = None


class Networks:
    """Look-ups from any thread, while one other thread may be in `refresh`."""

    def __init__(self, lists: NetworkLists | None, databases: Sequence[GeoDatabase]) -> None:
        self._lists, self._databases = lists, tuple(databases)

    @property
    def configured(self) -> bool:
        """Whether there is anything to keep current."""
        return self._lists is not None or bool(self._databases)

    def names(self, address: Address) -> tuple[str, ...]:
        """Sorted names of the networks the address belongs to; empty for an address that isn't globally routable.

        Never blocks; microseconds. Raises ValueError for text that is no address.
        """
        bits, number = number_of(address)
        listed = () if self._lists is None else self._lists.index.names(bits, number)
        if not self._databases or (found := plain(bits, number)) is None:
            return listed
        located = [name for database in self._databases if (name := database.name(found)) is not None]
        return tuple(sorted({*listed, *located})) if located else listed

    def refresh(self, now_ms: int) -> None:
        """Look at all files again. Blocks, so not for the event loop; a broken file raises nothing."""
        if self._lists is not None:
            self._lists.refresh(now_ms)
        for database in self._databases:
            database.refresh()

    def state(self) -> NetworksState:
        """Lists and databases as of the last look."""
        return NetworksState(
            lists=() if self._lists is None else self._lists.state(),
            databases=tuple(database.state() for database in self._databases),
            folder_fault=None if self._lists is None else self._lists.folder_fault,
        )


def no_networks() -> Networks:
    """The networks of an installation without lists and databases."""
    return Networks(None, ())


def open_networks(settings: AbuseSettings, now_ms: int) -> Networks:
    """The networks that the settings name, read once. Blocks. Raises SettingsError naming the unusable setting."""
    lists = None
    if settings.network_lists is not None:
        lists = NetworkLists(settings.network_lists, max_age_days=settings.network_list_max_age_days)
        lists.open(now_ms)
    named: tuple[tuple[Path | None, DatabaseKind], ...] = (
        (settings.asn_database, ASN),
        (settings.country_database, COUNTRY),
    )
    return Networks(lists, [GeoDatabase(path, kind) for path, kind in named if path is not None])


async def watch_networks(
    networks: Networks, now_ms: Callable[[], int], every_s: float, on_state: Callable[[NetworksState], None]
) -> None:
    """A background task that keeps networks current; ends where nothing is configured. `on_state` gets the state at the
    start and after every look, on the event loop, for the metrics."""
    on_state(networks.state())
    if networks.configured:
        await keep_current(lambda: networks.refresh(now_ms()), every_s, lambda: on_state(networks.state()))
