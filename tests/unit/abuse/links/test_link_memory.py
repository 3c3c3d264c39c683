"""Memory of links: as short as that of flag events' heads, and bounded."""

from __future__ import annotations

from abuse.flags.flag_heads import REMEMBERED_S
from abuse.links.link_memory import LinkMemory


def test_nothing_is_remembered_longer():
    """An erasure doesn't reach a worker's memory: a table that is read again and again goes too."""
    now = [0.0]
    memory = LinkMemory(clock=lambda: now[0])
    memory.put("of Ada", {})
    now[0] = REMEMBERED_S / 2
    memory.put("of Ada", {})
    memory.put("of Bob", {})
    assert (memory.get("of Ada"), memory.get("of nobody")) == ({}, None)
    now[0] = REMEMBERED_S
    assert (memory.get("of Bob"), memory.get("of Ada")) == ({}, None)
    assert list(memory._held) == ["of Bob"]


def test_oldest_make_room():
    memory = LinkMemory(most=2)
    for name in ("of Ada", "of Bob", "of Ada", "of Eve"):
        memory.put(name, {})
    assert [memory.get(name) for name in ("of Ada", "of Bob", "of Eve")] == [None, {}, {}]
    memory.drop("of Eve")
    assert memory.get("of Eve") is None
