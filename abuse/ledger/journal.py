"""The journal of a subject: a set of attempts, each written as one line of text.

A line says everything about its attempt, time first, so that a set of lines is its own order: adding a line twice,
late or in another order gives the same set, and keeping the newest N lines is the same whenever it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from abuse.event_time import DAY_MS
from abuse.observation import Finding, Observation
from abuse.subjects import SubjectType

#: Lines kept by journal. A busy address is told apart long before; its counts then read "at least".
KEPT = {SubjectType.CORRELATION_ID: 256, SubjectType.DEVICE: 256, SubjectType.ADDRESS: 128, SubjectType.PREFIX: 128}
#: Journals of addresses and prefixes are split, so that a busy one spreads over the nodes of a cluster.
SHARDS = {SubjectType.ADDRESS: 4, SubjectType.PREFIX: 4}
#: Findings of submissions that come in while their sender is refused, too. A sender who fills the journal with them
#: must make it forget neither verdicts nor each other: findings that are nobody's failure have a part of the journal to
#: themselves, whose oldest lines are kept, and with them the pause that was earned.
PAST_NO_GATE = frozenset({Finding.UNANALYSED, Finding.MISMATCH})
#: Lines of one submission id that lie less apart are the same submission, sent twice and read at once. A decision is
#: kept for no less, so that another submission under the id comes later. A submission that passes no gate is written
#: down whenever it is sent again, and counts once however late.
TWICE_MS = 3_600_000
#: How far back rules look: their windows, and for pauses those that led to them.
REACH_MS = {SubjectType.CORRELATION_ID: 3 * DAY_MS}
DEFAULT_REACH_MS = DAY_MS

#: Twice the life of a journal of devices, addresses or prefixes: a line goes with the first line written a life later,
#: or with its journal, which is kept for a life after the last line.
USED_MS = 4 * DAY_MS

LINES_REMEMBERED = 16_384

_TIME_DIGITS = 13
_LETTER = {
    Finding.LIVE: "L",
    Finding.SPOOF: "S",
    Finding.INCONCLUSIVE: "I",
    Finding.UNANALYSED: "U",
    Finding.MISMATCH: "M",
}
_FINDING = {letter: finding for finding, letter in _LETTER.items()}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Attempt:
    """An attempt: one submission as a journal holds it; in order of event time, then submission id.

    `elsewhere`: the submission came from another address than the publisher expected.
    """

    at_ms: int
    submission_id: str
    correlation_id: str
    session_id: str | None = None
    finding: Finding
    severity: float = 0.0
    species: str = ""
    elsewhere: bool = False


def shard_of(kind: SubjectType, submission_id: str) -> int:
    """The shard of a journal for a submission that got past the gate."""
    return crc32(submission_id.encode()) % SHARDS.get(kind, 1)


def part_of(kind: SubjectType, observation: Observation) -> int:
    """The part of a journal for an observation: a shard, or a part behind the shards."""
    if observation.finding not in PAST_NO_GATE:
        return shard_of(kind, observation.submission_id)
    apart = observation.finding is Finding.MISMATCH and kind is SubjectType.CORRELATION_ID
    return SHARDS.get(kind, 1) + apart


def parts(kind: SubjectType) -> int:
    """The number of a journal's parts."""
    return SHARDS.get(kind, 1) + (2 if kind is SubjectType.CORRELATION_ID else 1)


def keeps_oldest(kind: SubjectType, part: int) -> bool:
    """Whether a journal's part keeps its oldest lines; other parts keep their newest."""
    return part == SHARDS.get(kind, 1)


def life_ms(kind: SubjectType) -> int:
    """How long a journal's lines are kept: as far as rules look back, and a day more for submissions that come late."""
    return reach_ms(kind) + DAY_MS


def reach_ms(kind: SubjectType) -> int:
    return REACH_MS.get(kind, DEFAULT_REACH_MS)


def attempt_of(observation: Observation) -> Attempt:
    return Attempt(
        at_ms=observation.at_ms,
        submission_id=observation.submission_id,
        correlation_id=observation.correlation_id,
        session_id=observation.session_id,
        finding=observation.finding,
        severity=round(observation.severity, 2),
        species=observation.species,
        elsewhere=observation.origin.as_expected is False,
    )


def line_of(attempt: Attempt) -> str:
    """The attempt's line. Ids and reasons hold no spaces (checked at intake), so spaces separate them. A small letter
    stands for `elsewhere`."""
    letter = _LETTER[attempt.finding]
    return (
        f"{attempt.at_ms:0{_TIME_DIGITS}d} {letter.lower() if attempt.elsewhere else letter} {attempt.severity:.2f}"
        f" {attempt.species} {attempt.correlation_id} {attempt.session_id or ''} {attempt.submission_id}"
    )


@lru_cache(maxsize=LINES_REMEMBERED)
def attempt_from(line: str) -> Attempt:
    """The inverse of `line_of`; raises ValueError for anything else. Cached: lines of a busy address are read again
    with each of its submissions, and under its prefix too, and parsing is nine tenths of the cost."""
    at_ms, letter, severity, species, correlation_id, session_id, submission_id = line.split(" ")
    return Attempt(
        at_ms=int(at_ms),
        submission_id=submission_id,
        correlation_id=correlation_id,
        session_id=session_id or None,
        finding=_FINDING[letter.upper()],
        severity=float(severity),
        species=species,
        elsewhere=letter.islower(),
    )


def attempts_from(lines: Iterable[str], *, after_ms: int = -1) -> tuple[Attempt, ...]:
    """Attempts in order, each submission once (its earliest line), without those up to `after_ms`, which a reviewer
    cleared."""
    attempts: list[Attempt] = []
    counted_ms: dict[str, int] = {}
    for line in sorted(set(lines)):
        attempt = attempt_from(line)
        before_ms = counted_ms.get(attempt.submission_id)
        again = before_ms is not None and (attempt.finding in PAST_NO_GATE or attempt.at_ms - before_ms < TWICE_MS)
        if attempt.at_ms > after_ms and not again:
            counted_ms[attempt.submission_id] = attempt.at_ms
            attempts.append(attempt)
    return tuple(sorted(attempts, key=lambda attempt: (attempt.at_ms, attempt.submission_id)))
