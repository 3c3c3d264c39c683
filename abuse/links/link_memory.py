"""Links that a worker read or wrote lately, so that of a cluster's lines only those of newcomers are read.

The first line of a pair of submissions stays (`link_store`): what fields a correlation id has is read each time, and a
line once, within the time that a worker remembers heads of flag events.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from abuse.flags.flag_heads import REMEMBERED_S
from abuse.links.links import Link

#: Field of a link -> the link, of one correlation id.
LinkTable = dict[bytes, Link]
#: Keys remembered: those of a few dozen clusters; of each up to 64 links, which both ends share.
MOST_REMEMBERED = 1024


class LinkMemory:
    """Memory of tables by the store's key. A table goes `REMEMBERED_S` after it was first read, so that nothing
    erased stays in a worker that works."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST_REMEMBERED) -> None:
        self._clock, self._most = clock, most
        self._held: OrderedDict[str, tuple[LinkTable, float]] = OrderedDict()

    def get(self, key: str) -> LinkTable | None:
        """The table of the key, for the caller to filter by what the store holds; None for an unknown key."""
        now = self._clock()
        while self._held and now - next(iter(self._held.values()))[1] >= REMEMBERED_S:
            self._held.popitem(last=False)
        return self._held.get(key, (None, 0.0))[0]

    def put(self, key: str, table: LinkTable) -> None:
        """Remember what was read; a table that is remembered already grows no older by it."""
        _, since = self._held.get(key, (None, self._clock()))
        self._held[key] = (table, since)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def drop(self, key: str) -> None:
        self._held.pop(key, None)
