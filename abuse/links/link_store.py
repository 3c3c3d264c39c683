"""The link store: the port, a store in memory, and how a cluster is read from it.

A link is stored with both correlation ids, under a field that names the pair of submissions (`field_of`). The first
line of a pair stays: a replay that finds a larger gallery changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import orjson

from abuse.links.links import (
    LINKS_KEPT,
    MOST_MEMBERS,
    MOST_STEPS,
    Cluster,
    Link,
    LinkKind,
    cluster_of,
    is_about,
    line_of,
    links_from,
)

#: Correlation id -> its links.
Held = Mapping[str, tuple[Link, ...]]
#: Digits of a field's time: enough for 30,000 years.
TIME_DIGITS = 15
_EIGHT_DAYS_MS = 8 * 86_400_000


class LinkStore(Protocol):
    """The port. Each call takes one round trip, `write` one more where older links have to go, `forget` three. Calls
    raise `config.errors.Unavailable` when the table is away, and may be repeated then."""

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        """The links of each correlation id, in order; an empty tuple where there are none. Called by the reuse search,
        reviews and erasures."""

    async def write(self, tenant: str | None, links: Sequence[Link]) -> Held:
        """Store each link with both correlation ids, if absent; return what these ids hold then. Called by the reuse
        search and a rebuild. May be repeated."""

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        """Remove every link of a correlation id; return their number. Called by an erasure. May be repeated.

        `others`: the linked correlation ids, which may have links that are no longer among this id's newest. Their
        entries are deleted first, then this id's own, which are the index to them.
        """


def field_of(link: Link) -> str:
    """The field of a link under either correlation id. Sorted fields are in order of the later submission."""
    digest = hashlib.sha256(orjson.dumps(link.name)).hexdigest()[:16]
    return f"{max(link.later.at_ms, 0):0{TIME_DIGITS}d} {digest}"


def retained(fields: Iterable[str], life_ms: int) -> set[str]:
    """The fields of a correlation id that count: the newest, up to `life_ms` before the last. Raises ValueError for a
    foreign field."""
    newest = sorted((int(each[:TIME_DIGITS]), each) for each in fields)[-LINKS_KEPT:]
    return {each for at_ms, each in newest if at_ms >= newest[-1][0] - life_ms}


async def cluster_around(
    store: LinkStore,
    tenant: str | None,
    correlation_id: str,
    fresh: Sequence[Link] = (),
    *,
    known: Held | None = None,
    of_kinds: Collection[LinkKind] = frozenset(LinkKind),
) -> Cluster:
    """The cluster around a correlation id, read in one round trip per link away from it.

    `fresh`: links of its own that are known already, whatever the store retains. `known`: what the store holds of the
    id and the ends of its links, if that was read.
    """
    held, named = dict[str, tuple[Link, ...]](), {each.name: each for each in fresh}
    ids = {correlation_id, *(name for each in fresh for name in each.ids)}
    read, whole = known or {}, True
    for step in range(1 if read else 0, MOST_STEPS + 2):
        held |= read
        for of_id in read.values():
            of_kind = [each for each in of_id if each.kind in of_kinds]
            named.update({each.name: each for each in of_kind})
            ids.update(*[each.ids for each in of_kind])
        new = sorted(ids - held.keys())
        most = max(MOST_MEMBERS - len(held), 0) if held else len(new)
        wanted = new[:most] if step <= MOST_STEPS else []
        whole = len(wanted) == len(new)
        if not wanted:
            break
        read = await store.of(tenant, wanted)
    # Of a cluster too large to be read, the members that were read: the others are known by name only.
    links: Iterable[Link] = named.values() if whole else [each for each in named.values() if held.keys() >= {*each.ids}]
    return cluster_of(correlation_id, links, whole=whole)


class InMemoryLinkStore:
    """The fake. `lines`: of each tenant and correlation id, by field."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None, life_ms: int = _EIGHT_DAYS_MS) -> None:
        self.lines: dict[tuple[str, str], dict[str, str]] = {}
        self._on_call, self._life_ms = on_call, life_ms

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        self._on_call("of")
        return {name: links_from(self.lines.get((tenant or "", name), {}).values()) for name in correlation_ids}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> Held:
        self._on_call("write")
        for each in links:
            for name in set(each.ids):
                lines = {field_of(each): line_of(each)} | self.lines.get((tenant or "", name), {})
                kept = retained(lines, self._life_ms)
                self.lines[tenant or "", name] = {field: line for field, line in lines.items() if field in kept}
        ids = dict.fromkeys(name for each in links for name in each.ids)
        return {name: links_from(self.lines[tenant or "", name].values()) for name in ids}

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        self._on_call("forget")
        removed = {*self.lines.pop((tenant or "", correlation_id), {})}
        for other in {*others} - {correlation_id}:
            lines = self.lines.get((tenant or "", other), {})
            shared = [field for field, line in lines.items() if is_about(line, correlation_id)]
            removed.update(shared)
            for field in shared:
                del lines[field]
        return len(removed)
