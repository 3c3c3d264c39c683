"""Where links are kept: with both correlation ids they join. The port, the fake, and the way through a cluster.

With each correlation id a pair of submissions has one place, named by `place_of`, and what was told of it first stays:
a replay that finds a larger gallery changes nothing.
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

#: The links held with each correlation id.
Held = Mapping[str, tuple[Link, ...]]
#: Digits of a place that say when: enough for 30,000 years.
_TIME_DIGITS = 15
_EIGHT_DAYS_MS = 8 * 86_400_000


class LinkStore(Protocol):
    """Each call takes one round trip, `write` one more where older links have to go, `forget` three, and raises
    `config.errors.Unavailable` when the table is away."""

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        """The links of each, in order; empty where there are none."""

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        """Keep each link with both its ends, unless it is there."""

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        """Remove every link of a correlation id, also where it is kept with the `others`, who may have kept some that
        are no longer among its own newest; how many there were. May be repeated: its own go when the others' are
        gone, since they say who the others are."""


def place_of(link: Link) -> str:
    """Where the link is kept with either end. In order, places are in order of the later end."""
    digest = hashlib.sha256(orjson.dumps(link.name)).hexdigest()[:16]
    return f"{max(link.later.at_ms, 0):0{_TIME_DIGITS}d} {digest}"


def standing(places: Iterable[str], life_ms: int) -> set[str]:
    """Those of a correlation id that are kept: the newest, none so long before the last. Raises ValueError for what is
    no place."""
    newest = sorted((int(place[:_TIME_DIGITS]), place) for place in places)[-LINKS_KEPT:]
    return {place for at_ms, place in newest if at_ms >= newest[-1][0] - life_ms}


async def cluster_around(
    book: LinkStore,
    tenant: str | None,
    correlation_id: str,
    fresh: Sequence[Link] = (),
    *,
    of_kinds: Collection[LinkKind] = frozenset(LinkKind),
) -> Cluster:
    """Everything linked to a correlation id. `fresh`: links of its own that are known already, whatever the book keeps.
    A round trip for each step away from it."""
    near = {correlation_id, *(name for each in fresh for name in each.ids)}
    held, whole = dict(await book.of(tenant, sorted(near))), True
    for step in range(MOST_STEPS + 1):
        linked = [*fresh, *(each for links in held.values() for each in links if each.kind in of_kinds)]
        new = sorted({correlation_id, *(name for each in linked for name in each.ids)} - set(held))
        wanted = new[: max(MOST_MEMBERS - len(held), 0)] if step < MOST_STEPS else []
        whole = len(wanted) == len(new)
        if not wanted:
            break
        held |= await book.of(tenant, wanted)
    links = [*fresh, *(each for links in held.values() for each in links if each.kind in of_kinds)]
    # Of a cluster too large to be read, the members that were read: the others are known by name only.
    return cluster_of(correlation_id, [each for each in links if held.keys() >= set(each.ids)], whole=whole)


class InMemoryLinkStore:
    """The fake. `lines`: of each correlation id, by place."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None, life_ms: int = _EIGHT_DAYS_MS) -> None:
        self.lines: dict[tuple[str, str], dict[str, str]] = {}
        self._on_call, self._life_ms = on_call, life_ms

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        self._on_call("of")
        return {name: links_from(self.lines.get((tenant or "", name), {}).values()) for name in correlation_ids}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        self._on_call("write")
        for each in links:
            for name in set(each.ids):
                lines = {place_of(each): line_of(each)} | self.lines.get((tenant or "", name), {})
                kept = standing(lines, self._life_ms)
                self.lines[tenant or "", name] = {place: line for place, line in lines.items() if place in kept}

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        self._on_call("forget")
        gone = {*self.lines.pop((tenant or "", correlation_id), {})}
        for other in {*others} - {correlation_id}:
            kept = self.lines.get((tenant or "", other), {})
            mine = [place for place, line in kept.items() if is_about(line, correlation_id)]
            gone.update(mine)
            for place in mine:
                del kept[place]
        return len(gone)
