"""Where links are kept: with both correlation ids they join. The port, the fake, and the way through a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from abuse.links import (
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


class LinkBook(Protocol):
    """Each call takes one round trip, `forget` two, and raises `stream.patience.Unavailable` when the table is away."""

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        """The links of each, in order; empty where there are none."""

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        """Keep each link with both its ends."""

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        """Remove every link of a correlation id, also where it is kept with the `others`, who may have kept some that
        are no longer among its own newest; how many there were."""


async def cluster_around(
    book: LinkBook,
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


class InMemoryLinkBook:
    """The fake."""

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.lines: dict[tuple[str, str], set[tuple[int, str]]] = {}
        self._on_call = on_call

    async def of(self, tenant: str | None, correlation_ids: Sequence[str]) -> Held:
        self._on_call("of")
        return {name: self._links(tenant, name) for name in correlation_ids}

    async def write(self, tenant: str | None, links: Sequence[Link]) -> None:
        self._on_call("write")
        for each in links:
            for name in set(each.ids):
                lines = {*self.lines.get((tenant or "", name), ()), (each.later.at_ms, line_of(each))}
                self.lines[tenant or "", name] = set(sorted(lines)[-LINKS_KEPT:])

    async def forget(self, tenant: str | None, correlation_id: str, others: Sequence[str]) -> int:
        self._on_call("forget")
        gone = self.lines.pop((tenant or "", correlation_id), set())
        for other in {*others} - {correlation_id}:
            kept = self.lines.get((tenant or "", other), set())
            gone |= {each for each in kept if is_about(each[1], correlation_id)}
            kept -= gone
        return len(gone)

    def _links(self, tenant: str | None, name: str) -> tuple[Link, ...]:
        return links_from(line for _, line in self.lines.get((tenant or "", name), ()))
