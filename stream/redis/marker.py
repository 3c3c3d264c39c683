"""The installation marker: a random text in Redis that goes when Redis' content goes (port: `abuse.redis_port`).

A worker's client asks for the marker behind the commands of each round trip: a marker that is still there tells that
nothing was lost before it. Of a cluster each node has markers, since a node can be emptied alone.

An older copy of the content has the same marker. So workers write beside each marker when they last looked: a time
that is well before one that a worker has seen there tells that the content is older than it was.

    installation:{NUMBER}         "ORIGIN|MILLISECONDS|RANDOM", the same text under every number
    installation-look:{NUMBER}    one member, its score the time of the last look, by Redis' clock
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
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
#: Content older by less is what a failover to a replica may cost; workers look every few seconds.
OLDER_MS = 30_000
MEND = "liveness abuse rebuild; LIVENESS_REDIS__ACCEPT_LOSS=true goes on without what was lost"
LOST = f"emptied, an older copy, or another Redis: {MEND}"

INSTALLATION = StoreRecord(
    name="installation",
    holds="a random text that tells whether Redis lost its content",
    personal=Personal.NONE,
    life_ms=MARKER_TTL_S * MS,
    after="a worker last looked",
)
LAST_LOOK = StoreRecord(
    name="installation-look",
    holds="when a worker last looked, which tells an older copy of Redis' content",
    personal=Personal.NONE,
    life_ms=MARKER_TTL_S * MS,
    after="a worker last looked",
)
RECORDS = (INSTALLATION, LAST_LOOK)
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


def look_key(marker_key: str) -> str:
    """Key of the last look beside a marker, at the same node."""
    before, _, number = marker_key.rpartition(f"{INSTALLATION.name}:")
    return f"{before}{LAST_LOOK.name}:{number}"


def last_look(marker_key: str) -> Command:
    return ("ZRANGE", look_key(marker_key), 0, -1, "WITHSCORES")


def store_look(marker_key: str, at_ms: int) -> Sequence[Command]:
    """Commands that write a look, unless there is a later one."""
    key = look_key(marker_key)
    return [("ZADD", key, "GT", at_ms, "last"), ("EXPIRE", key, MARKER_TTL_S)]


def read_look(reply: Reply) -> int:
    """Time in a reply to `last_look`; 0 where there is none, or something else."""
    match reply:
        case [_, bytes(score)] if score.isdigit():
            return int(score)
        case _:
            return 0


class MarkerGuard:
    """Guard of a worker's client. From a loss until the marker is found again, or before it was found at all, no call
    is answered."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.known: Marker | None = None
        self.lost = False
        self._looks: dict[str, int] = {}
        #: What was read last, with nothing noted since: nearly all round trips bring the same.
        self._read: tuple[str, Reply, Reply] | None = None

    def require_found(self) -> None:
        """Called before a round trip. Raises Unavailable."""
        if self.lost or self.known is None:
            raise Unavailable("redis", LOST)

    def require(self, key: str, marker: Reply, look: Reply) -> None:
        """Called with a marker and the last look that came behind the replies of a round trip. Raises Unavailable where
        the marker isn't ours, or the look is older: the replies may be those of a Redis without content."""
        if not self.lost and self._read == (key, marker, look):
            return
        found, looks = Marker.read(marker), {key: read_look(look)}
        if found is None or not self.accepts(found, looks):
            self.lose()
            raise Unavailable("redis", LOST)
        self._note(found, looks)
        self._read = key, marker, look

    def accepts(self, found: Marker | None, looks: Mapping[str, int]) -> bool:
        """Whether the content is the known one, or made anew since."""
        if found is None or self.known is None:
            return found is not None
        return not self.is_older(found, looks) if found == self.known else found.follows(self.known)

    def is_older(self, found: Marker | None, looks: Mapping[str, int]) -> bool:
        """Whether the content is a copy from before what this worker has seen."""
        seen = self._looks
        return found == self.known and any(at_ms < seen.get(key, 0) - OLDER_MS for key, at_ms in looks.items())

    def _note(self, found: Marker, looks: Mapping[str, int]) -> None:
        if found != self.known:
            self.known, self._looks = found, {}
        self._looks.update({key: max(at_ms, self._looks.get(key, 0)) for key, at_ms in looks.items()})
        self._read = None

    def lose(self) -> None:
        if not self.lost:
            log.error("redis_emptied", why="the installation's marker is gone, another, or of an older copy", mend=MEND)
        self.lost = True
        metrics.REDIS_EMPTIED.set(1)

    def find(self, marker: Marker, looks: Mapping[str, int]) -> None:
        if self.lost:
            log.info("redis_emptied_no_more", origin=str(marker.origin))
        self._note(marker, looks)
        self.lost = False
        metrics.REDIS_EMPTIED.set(0)
