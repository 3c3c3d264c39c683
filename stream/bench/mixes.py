"""Mixes of submissions: who sends them, and how often a face and a picture come again.

Every submission has a correlation id, a session, a device and an address of its own, as of ever new people. Faces and
pictures are compared within a tenant only, under that tenant's key: so a stranger is a submission under a tenant of
its own, however few pictures the benchmark has. Of pictures of different people (`people`) one tenant sends all
before the next begins. What a search in a large gallery costs is measured by `tests/bench/reuse_indexes.py`.
"""

from __future__ import annotations

import ipaddress
import random
import uuid
from collections import deque
from enum import StrEnum

#: Share of ordinary submissions that show what one of the last `REMEMBERED` showed.
REPEATS = 0.03
REMEMBERED = 100
_HOT = "hot"


class Mix(StrEnum):
    """Mixes: nobody comes again; three in a hundred do; everybody shows one face, in as many pictures as there are."""

    STRANGERS = "strangers"
    ORDINARY = "ordinary"
    HOT = "hot"


class Senders:
    """Senders of one mix, seeded. `pictures`: how many there are. `people`: each shows another person."""

    def __init__(self, mix: Mix, pictures: int, seed: int, *, people: bool = False) -> None:
        self._mix, self._pictures, self._people = mix, pictures, people
        self._chance = random.Random(f"{mix} {seed}")  # noqa: S311 - the same every time, and no secret
        self._shown: deque[tuple[str, int]] = deque(maxlen=REMEMBERED)
        self._tenant, self._next = "", -1

    def next(self) -> tuple[int, dict[str, str]]:
        """The number of the picture to send, and the optional fields of the submission."""
        tenant, picture = self._shows()
        self._shown.append((tenant, picture))
        return picture, {
            "tenant": tenant,
            "session_id": self._uuid(),
            "device_id": self._uuid(),
            "client_ip": str(ipaddress.IPv6Address(0x2A00_1450 << 96 | self._chance.getrandbits(96))),
        }

    def _shows(self) -> tuple[str, int]:
        if self._mix is Mix.ORDINARY and self._shown and self._chance.random() < REPEATS:
            return self._chance.choice(self._shown)
        self._next = (self._next + 1) % self._pictures
        if self._mix is Mix.HOT:
            return _HOT, 0 if self._people else self._next
        if not self._people or self._next == 0:
            self._tenant = self._uuid()
        return self._tenant, self._next

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
