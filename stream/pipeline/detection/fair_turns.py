"""Fair turns: which of the submissions that wait is analysed next, so that no sender keeps the others waiting.

A submission has several senders: its tenant, its correlation id, its device. While others wait, one of them has at most
its share of the slots, and turns go round: first to the tenant whose last turn is longest ago, within the tenant to the
correlation id, then to the one that came first. No last turn counts as longer ago than some turns before the
submission came: a newcomer overtakes a sender who had a turn just now, and names made up at will overtake nobody.

Where nobody else waits, a sender may have all places, unless the sender's pictures are dear beside others': a picture
in a slot can't be interrupted, and the next to come would wait.

Used from one event loop. A turn costs a look at each submission that waits, and the agent bounds how many do.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Collection, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

#: Last turns whose costs are looked at. What is usual is the median of other senders' turns among them, if those are so
#: many, and such a share.
REMEMBERED, FEWEST_OTHERS, SMALLEST_SHARE = 100, 10, 0.25
#: Turns before a submission came, at which its senders count as served at the latest.
GRACE = 8
#: Times the usual cost above which a sender is dear: pictures of 720x960 and 12 megapixels lie within a factor of 2.
DEAR = 3.0
#: Share of a sender's highest cost that is left after a turn that cost less.
KEPT = 0.7
#: Senders remembered; those without a turn for the longest time are forgotten.
MOST_SENDERS = 10_000


@dataclass(slots=True)
class _Sender:
    """Sender's places now, number of the last turn, and highest cost of a turn of late."""

    held: int = 0
    last_turn: int = 0
    cost: float = 0.0


@dataclass(slots=True, eq=False)
class Turn:
    """Turn of a submission that came when so many turns had begun. `cost`: what the analysis took of a slot, in any one
    unit; 0 for none."""

    senders: Sequence[Hashable]
    came: int
    task: asyncio.Task[object] | None
    begun: asyncio.Future[None]
    cost: float = field(default=0.0)


class FairTurns:
    """Places for submissions in work, `slots` and some read ahead; a sender's share is of the slots."""

    def __init__(self, slots: int, read_ahead: int, share: float) -> None:
        self._places = slots + read_ahead
        self._most = math.ceil(slots * share) if share < 1 else self._places
        self._has_room = True
        self._taken = 0
        self._waiting: list[Turn] = []
        self._senders: OrderedDict[Hashable, _Sender] = OrderedDict()
        self._done: deque[Turn] = deque(maxlen=REMEMBERED)
        self._turns = 0

    @property
    def waiting(self) -> Collection[asyncio.Task[object]]:
        """Tasks whose turn has not come."""
        return [turn.task for turn in self._waiting if turn.task is not None]

    def room(self, has_room: bool) -> None:
        """Called when no more submissions are let in to wait, or are again. While none is, the next submission is not
        seen here, and nothing is kept free for its sender."""
        self._has_room = has_room
        self._give()

    @asynccontextmanager
    async def turn(self, *senders: Hashable) -> AsyncIterator[Turn]:
        """Context of one submission's work, entered when its turn comes. `senders`: the widest, such as the tenant,
        first."""
        begun = asyncio.get_running_loop().create_future()
        turn = Turn(senders, self._turns, asyncio.current_task(), begun)
        self._waiting.append(turn)
        self._give()
        try:
            await turn.begun
            yield turn
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._end(turn)
            self._give()

    def _give(self) -> None:
        while self._waiting and self._taken < self._places and (turn := self._next()) is not None:
            self._waiting.remove(turn)
            self._taken += 1
            self._turns += 1
            for name in turn.senders:
                sender = self._sender(name)
                sender.held += 1
                sender.last_turn = self._turns
            if not turn.begun.done():  # else cancelled at this moment: its context ends the turn
                turn.begun.set_result(None)

    def _next(self) -> Turn | None:
        waiting = Counter(name for turn in self._waiting for name in turn.senders)
        full = {name for name in waiting if self._held(name) >= self._most}
        dear = {name for name in full if self._is_dear(name)} if self._has_room else set()
        over = {name for name in full if waiting[name] < len(self._waiting)}
        free = [turn for turn in self._waiting if dear.isdisjoint(turn.senders)]
        return min(free, key=lambda turn: (not over.isdisjoint(turn.senders), self._last_turns(turn)), default=None)

    def _last_turns(self, turn: Turn) -> list[int]:
        found = (self._senders.get(name) for name in turn.senders)
        return [max(sender.last_turn if sender else 0, turn.came - GRACE) for sender in found]

    def _held(self, name: Hashable) -> int:
        sender = self._senders.get(name)
        return sender.held if sender else 0

    def _is_dear(self, name: Hashable) -> bool:
        """Whether a sender's pictures cost several times what others' do, or are yet unknown; never where few others
        came of late."""
        others, own = [turn.cost for turn in self._done if name not in turn.senders], self._senders[name].cost
        enough = max(FEWEST_OTHERS, SMALLEST_SHARE * len(self._done))
        return len(others) >= enough and not 0 < own <= DEAR * statistics.median(others)

    def _end(self, turn: Turn) -> None:
        self._taken -= 1
        for name in turn.senders:
            sender = self._sender(name)
            sender.held -= 1
            if turn.cost:
                sender.cost = max(turn.cost, KEPT * sender.cost)
        if turn.cost:
            self._done.append(turn)

    def _sender(self, name: Hashable) -> _Sender:
        """Sender of a name, made or found, the last to be forgotten; none with a place is."""
        found = self._senders.setdefault(name, _Sender())
        self._senders.move_to_end(name)
        while len(self._senders) > MOST_SENDERS:
            oldest, sender = self._senders.popitem(last=False)
            if sender.held:
                self._senders[oldest] = sender
        return found
