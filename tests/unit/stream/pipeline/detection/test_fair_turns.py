"""Fair turns: whose submission is analysed next, while a flood of one sender waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable

import pytest

from stream.pipeline.detection.fair_turns import FEWEST_OTHERS, MOST_SENDERS, FairTurns
from tests.unit.stream.runtime.virtual_time import now, on_virtual_time

USUAL_S, DEAR_S = 0.06, 0.5


class Slots:
    """Slots in virtual time: `waits` has the time from coming to the end of each submission, by its sender."""

    def __init__(self, slots: int = 2, read_ahead: int = 2, share: float = 0.5) -> None:
        self.turns = FairTurns(slots, read_ahead, share)
        self.held: Counter[Hashable] = Counter()
        self.most: Counter[Hashable] = Counter()
        self.waits: dict[Hashable, list[float]] = {}
        self.order: list[Hashable] = []
        self._slots = asyncio.Semaphore(slots)
        self._tasks: list[asyncio.Task[None]] = []

    def send(self, *senders: Hashable, seconds: float = USUAL_S) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(self._work(senders, seconds)))
        return self._tasks[-1]

    async def all_done(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, senders: tuple[Hashable, ...], seconds: float) -> None:
        came = now()
        async with self.turns.turn(*senders) as turn:
            self.order.append(senders[-1])
            for name in senders:
                self.held[name] += 1
                self.most[name] = max(self.most[name], self.held[name])
            async with self._slots:
                await asyncio.sleep(seconds)
            turn.cost = seconds
            self.held.subtract(senders)
        self.waits.setdefault(senders[0], []).append(now() - came)


@on_virtual_time
async def test_alone_has_all() -> None:
    """Work is kept from nobody for the sake of others who don't come."""
    slots, began = Slots(), now()
    for _ in range(20):
        slots.send("one", "person", seconds=DEAR_S)
    await slots.all_done()
    assert now() - began == pytest.approx(20 * DEAR_S / 2)


#: Senders of a flood by what it has in common, and of the others, number by number.
FLOODS = {
    "tenant": (lambda number: ("flood", f"id {number}"), lambda number: (f"tenant {number % 2}", "id")),
    "correlation id": (lambda _: ("one", "flood"), lambda number: ("one", f"id {number % 2}")),
    "device": (lambda number: ("one", f"id {number}", "flood"), lambda number: ("one", f"other {number % 2}")),
}


@pytest.mark.parametrize("level", FLOODS)
@on_virtual_time
async def test_share_while_others_wait(level: str) -> None:
    slots = Slots(slots=4, read_ahead=0)
    flood, others = FLOODS[level]
    for number in range(60):
        slots.send(*others(number))
        slots.send(*flood(number), seconds=DEAR_S)
    await asyncio.sleep(20 * USUAL_S)
    assert slots.most["flood"] == 2


@on_virtual_time
async def test_newcomer_comes_first() -> None:
    slots = Slots(slots=1, read_ahead=0)
    for number in range(10):
        slots.send("flood", f"id {number}")
    await asyncio.sleep(USUAL_S / 2)
    slots.send("other", "somebody")
    await slots.all_done()
    assert slots.order.index("somebody") == 1
    assert slots.order[0] == "id 0"
    assert slots.order[2:] == [f"id {number}" for number in range(1, 10)]


@on_virtual_time
async def test_new_names_overtake_nobody() -> None:
    """A person's second try beside ever new correlation ids, of which a hundred always wait; and a tenant that was
    served beside ever new tenants."""
    for senders in (lambda number: ("one", f"id {number}"), lambda number: (f"tenant {number}", "id")):
        slots = Slots(slots=2, read_ahead=0)
        await slots.send("known", "known")
        for number in range(100):
            slots.send(*senders(number))
        again = slots.send("one" if senders(0)[0] == "one" else "known", "known")
        for number in range(100, 400):
            await asyncio.sleep(USUAL_S / 2)
            slots.send(*senders(number))
        assert again.done()
        await slots.all_done()


@on_virtual_time
async def test_few_cheap_pictures_make_nobody_dear() -> None:
    """A single tenant's throughput stays when somebody else sends a picture that costs hardly anything."""
    slots = Slots(slots=4, read_ahead=0)
    for _ in range(20):
        slots.send("busy", "person")
    await asyncio.sleep(USUAL_S / 2)
    slots.send("other", "somebody", seconds=0.001)
    await slots.all_done()
    began = now()
    for _ in range(40):
        slots.send("busy", "person")
    await slots.all_done()
    assert now() - began == pytest.approx(40 * USUAL_S / 4)


@on_virtual_time
async def test_nothing_is_kept_free_without_room() -> None:
    """The next submission waits behind the dear pictures, and gets in the sooner, the sooner those are done."""
    for has_room, most in ((True, 2), (False, 4)):
        slots = Slots(slots=4, read_ahead=0)
        for number in range(FEWEST_OTHERS):
            await slots.send(f"other {number}", "id")
        slots.turns.room(has_room)
        for _ in range(20):
            slots.send("dear", "person", seconds=DEAR_S)
        await slots.all_done()
        assert slots.most["dear"] == most


async def bystanders(flood: int, share: float) -> float:
    """Longest wait of a bystander, one each tenth of a second, beside a burst of the dearest pictures of one tenant."""
    slots = Slots(share=share)
    for number in range(300):
        if number == 20:
            for each in range(flood):
                slots.send("flood", f"id {each}", seconds=DEAR_S)
        slots.send(f"tenant {number % 5}", f"person {number}")
        await asyncio.sleep(0.1)
    await slots.all_done()
    assert len(slots.waits.get("flood", [])) == flood
    return max(max(waits) for name, waits in slots.waits.items() if name != "flood")


@on_virtual_time
async def test_bystanders_beside_flood() -> None:
    """Turns alone are not enough: a newcomer would wait for dear pictures in every slot and those read ahead."""
    without = await bystanders(0, 0.5)
    assert await bystanders(200, 1.0) > 3 * without
    assert await bystanders(200, 0.5) <= 3 * without


@on_virtual_time
async def test_cancelled_turns_end() -> None:
    slots = Slots(slots=1, read_ahead=0)
    running, waiting = slots.send("one"), slots.send("one")
    await asyncio.sleep(0)
    for task in (waiting, running):
        task.cancel()
    slots.send("two")
    await slots.all_done()
    assert (slots.order, len(slots.waits["two"])) == (["one", "two"], 1)


@on_virtual_time
async def test_senders_forgotten() -> None:
    """But for one who has a place."""
    slots = Slots()
    async with slots.turns.turn("slow"):
        for number in range(MOST_SENDERS + 10):
            async with slots.turns.turn(number):
                pass
        assert slots.turns._held("slow") == 1
    assert len(slots.turns._senders) == MOST_SENDERS
