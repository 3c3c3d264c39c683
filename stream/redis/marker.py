"""The installation marker: a random text in Redis that goes when Redis' content goes (port: `abuse.redis_port`).

A worker's client asks for the marker behind the commands of each round trip: a marker that is still there tells that
nothing was lost before it. Of a cluster each node has markers, since a node can be emptied alone.

    installation:{NUMBER}    "ORIGIN|MILLISECONDS|RANDOM", the same text under every number
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from abuse.event_time import MS
from abuse.redis_port import Command, Reply
from abuse.store_record import Personal, StoreRecord
from config.errors import Unavailable
from stream.runtime import metrics

log = structlog.get_logger()

#: Workers renew the marker while they run; no installation is without one for so long.
MARKER_TTL_S = 400 * 86_400
#: Markers of a cluster, in as many slots: of 16 equal nodes one has none once in ten million installations. A node
#: without is not watched.
ON_A_CLUSTER = 256
MEND = "liveness abuse rebuild; LIVENESS_REDIS__ACCEPT_LOSS=true goes on without what was lost"
LOST = f"emptied, or another Redis: {MEND}"

INSTALLATION = StoreRecord(
    name="installation",
    holds="a random text that tells whether Redis lost its content",
    personal=Personal.NONE,
    life_ms=MARKER_TTL_S * MS,
    after="a worker last looked",
)
RECORDS = (INSTALLATION,)
_TEXT = re.compile(rb"(new|rebuilt|accepted)\|(\d{1,15})\|([0-9a-f]{32})")


class Origin(StrEnum):
    """The occasion a marker was written on."""

    NEW = "new"
    REBUILT = "rebuilt"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Marker:
    origin: Origin
    at_ms: int
    random: str

    @classmethod
    def made(cls, origin: Origin, at_ms: int) -> Marker:
        return cls(origin, at_ms, uuid.uuid4().hex)

    @classmethod
    def read(cls, reply: Reply) -> Marker | None:
        """Marker in a reply; None where there is none, or something else."""
        found = _TEXT.fullmatch(reply) if isinstance(reply, bytes) else None
        return None if found is None else cls(Origin(found[1].decode()), int(found[2]), found[3].decode())

    def __str__(self) -> str:
        return f"{self.origin}|{self.at_ms}|{self.random}"

    def follows(self, known: Marker) -> bool:
        """Whether somebody has rebuilt, or accepted the loss, since `known` was written. An older marker is that of a
        copy from before, and a new installation's is somebody else's."""
        return self.origin is not Origin.NEW and self.at_ms > known.at_ms

    def store(self, key: str) -> Command:
        return ("SET", key, str(self), "EX", MARKER_TTL_S)


def marker_keys(prefix: str, *, cluster: bool) -> tuple[str, ...]:
    return tuple(INSTALLATION.key(prefix, number) for number in range(ON_A_CLUSTER if cluster else 1))


class MarkerGuard:
    """Guard of a worker's client. From a loss until the marker is found again, or before it was found at all, no call
    is answered."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.known: Marker | None = None
        self.lost = False

    def require_found(self) -> None:
        """Called before a round trip. Raises Unavailable."""
        if self.lost or self.known is None:
            raise Unavailable("redis", LOST)

    def require(self, reply: Reply) -> None:
        """Called with the marker that came behind the replies of a round trip. Raises Unavailable where it isn't ours:
        the replies may be those of a Redis without content."""
        if not self.accepts(found := Marker.read(reply)):
            self.lose()
            raise Unavailable("redis", LOST)
        self.known = found

    def accepts(self, found: Marker | None) -> bool:
        return found is not None and (self.known is None or found == self.known or found.follows(self.known))

    def lose(self) -> None:
        if not self.lost:
            log.error("redis_emptied", why="the installation's marker is gone or another", mend=MEND)
        self.lost = True
        metrics.REDIS_EMPTIED.set(1)

    def find(self, marker: Marker) -> None:
        if self.lost:
            log.info("redis_emptied_no_more", origin=str(marker.origin))
        self.known, self.lost = marker, False
        metrics.REDIS_EMPTIED.set(0)
