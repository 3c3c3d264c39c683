"""Heads of flag events: what rules need of an event, a tenth of its size, remembered by the worker that read it.

A stored event never changes what its head says: the first submission under a name stays, and an erasure
takes names out of the evidence only. So the names of a subject's events are read each time, which tells which events
there are, and a text once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import orjson

from abuse.flags.flag_events import Fields, cause_of
from abuse.flags.mentions import event_of

#: Fields of an event that only people and repeats need.
_LEFT_OUT = ("evidence", "policy")
#: A flag that was erased may be raised anew on the same day, under the same name: a head is read again after so long.
REMEMBERED_S = 60.0
_UNKNOWN = (None, 0.0)
#: Some 0.6 KB each; longer ones are foreign, and read each time.
MOST_REMEMBERED, LONGEST = 16_384, 4096


def head_of(text: str) -> str:
    """The stored text of an event without its evidence; other texts of a subject as they are. Raises ValueError or
    TypeError for a foreign text."""
    cause, _, document = text.partition(" ")
    if not document:
        return text
    event = event_of(document.encode())
    return f"{cause} {orjson.dumps({name: event[name] for name in event if name not in _LEFT_OUT}).decode()}"


def heads(fields: Fields, cause: str | None) -> dict[str, str]:
    """A subject's texts by event name: heads, and whole events where `cause` brought them about, to publish them."""
    return {name: text if cause_of(text) == cause else head_of(text) for name, text in fields.items()}


class HeadMemory:
    """Heads read lately, by the store's key and the event's name. Those remembered long enough go when any is asked
    for, so that nothing erased stays in a worker that works."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST_REMEMBERED) -> None:
        self._clock, self._most = clock, most
        self._held: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def get(self, key: str, name: str) -> str | None:
        return self.get_all(key, [name])[name]

    def get_all(self, key: str, names: Iterable[str]) -> dict[str, str | None]:
        self._forget_old()
        return {name: self._held.get((key, name), _UNKNOWN)[0] for name in names}

    def put(self, key: str, name: str, text: str) -> None:
        if len(text) <= LONGEST:
            self._held[key, name] = (text, self._clock())
            self._held.move_to_end((key, name))
            if len(self._held) > self._most:
                self._held.popitem(last=False)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._held and now - next(iter(self._held.values()))[1] >= REMEMBERED_S:
            self._held.popitem(last=False)
