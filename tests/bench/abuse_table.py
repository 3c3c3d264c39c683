"""Cost of an observation in the abuse table, by how many people the table knows.

    .venv/bin/python -m tests.bench.abuse_table [--ids 10000,100000] [--seconds 6] [--rounds 3]

A table of its own on the configured Redis is filled to each size in turn. At each size rounds of observations (write,
read, rules, flags) alternate with rounds of a floor: as many single small round trips, which drift with the machine as
the observations do. What counts is their ratio.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from abuse.flags.flag_events import PolicyName
from abuse.ledger.redis_ledger import RedisLedger
from abuse.observation import Finding, Observation, Origin
from abuse.redis_port import RedisClient
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject, SubjectType
from config.limits.abuse import AbusePolicy
from stream.bench.measurement import paired_ratio
from tests.bench.growth import Row, measured, one_server, percentiles, show, sizes

#: Submissions under way at once, as in a busy worker.
AT_ONCE = 16
FILL_BATCH = 500
#: People behind one address, and the share of attacks among submissions.
PEOPLE_PER_ADDRESS, SPOOFS = 3, 0.03
#: Everything happens within a day, so that nothing is out of reach of the rules.
SPREAD_MS = 20 * 3_600_000


class _Bench:
    def __init__(self, calls: RedisClient, prefix: str, policy: AbusePolicy, rounds: int, seconds: float) -> None:
        self._calls, self._prefix, self._rounds, self._seconds = calls, prefix, rounds, seconds
        self._ledger = RedisLedger(calls, prefix, policy.flag_ttl_s)
        self._engine = AbuseEngine(policy, PolicyName(name="bench", sha256="0" * 64))
        self._chance = random.Random(7)  # a load, not a secret
        self._known = self._flag_events = 0
        self._begun_ms = time.time_ns() // 1_000_000

    async def measure(self) -> Row:
        """`floor_per_s` are bare round trips a second; `cost` is what an observation costs in bare round trips
        (median of paired rounds); `cpu_ms` is processor time of the asking process."""
        observed, floors, waits = list[float](), list[float](), list[float]()
        cpu, self._flag_events = 0.0, 0
        for _ in range(self._rounds):
            floors.append(len(await self._round(self._floor)) / self._seconds)
            began = time.process_time()
            latencies = await self._round(self._observe)
            cpu += time.process_time() - began
            observed.append(len(latencies) / self._seconds)
            waits += latencies
        return {
            "observed_per_s": statistics.median(observed),
            "floor_per_s": statistics.median(floors),
            "cost": paired_ratio(floors, observed),
            **percentiles("observe", waits),
            "cpu_ms": cpu * 1000 / max(len(waits), 1),
            "flag_events": self._flag_events,
        }

    async def fill(self, ids: int) -> Row:
        for start in range(self._known, ids, FILL_BATCH):
            batch = [self._observation(number) for number in range(start, min(start + FILL_BATCH, ids))]
            await self._ledger.record_all(batch)
        self._known = ids
        return {}

    async def _round(self, work: Callable[[], Awaitable[None]]) -> list[float]:
        """Seconds of each piece of work in a round of `AT_ONCE` at once."""
        end, taken = time.monotonic() + self._seconds, list[float]()

        async def one_after_another() -> None:
            while (began := time.monotonic()) < end:
                await work()
                taken.append(time.monotonic() - began)

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        return taken

    async def _observe(self) -> None:
        """The decide stage's work for a submission of a person the table knows."""
        observation = self._observation(self._chance.randrange(self._known))
        known = await self._ledger.observe(observation)
        assessment = self._engine.assess(observation, known)
        if assessment.events:
            await self._ledger.record(assessment.events)
            self._flag_events += len(assessment.events)

    async def _floor(self) -> None:
        await self._calls.execute([("SET", f"{self._prefix}floor", b"0" * 32, "EX", 60)])

    def _observation(self, number: int) -> Observation:
        at_ms = self._begun_ms - self._chance.randrange(SPREAD_MS)
        spoof = self._chance.random() < SPOOFS
        address = number // PEOPLE_PER_ADDRESS
        return Observation(
            tenant=None,
            correlation_id=str(uuid.UUID(int=number + 1)),
            submission_id=str(uuid.UUID(int=self._chance.getrandbits(128))),
            session_id=None,
            at_ms=at_ms,
            finding=Finding.SPOOF if spoof else Finding.LIVE,
            severity=0.4 if spoof else 0.0,
            species="flat_texture" if spoof else "",
            origin=Origin(
                device=_subject(SubjectType.DEVICE, number),
                address=_subject(SubjectType.ADDRESS, address),
                prefix=_subject(SubjectType.PREFIX, address // 4),
            ),
        )


def _subject(kind: SubjectType, number: int) -> Subject:
    return Subject(type=kind, key=f"k1-{hashlib.sha256(f'{kind} {number}'.encode()).hexdigest()[:32]}")


def main(
    ids: Annotated[str, typer.Option(help="Correlation ids in the table.")] = "10000,100000,1000000",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one round.")] = 6.0,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of floor and observations, a size.")] = 3,
) -> None:
    """Measure the abuse table on the configured Redis."""
    settings = one_server()
    policy = settings.policy().abuse
    store = lambda calls, prefix: _Bench(calls, prefix, policy, rounds, seconds)  # noqa: E731
    rows = measured(settings, sizes(ids, "--ids"), "ids", store)
    show({"seconds": seconds, "rounds": rounds, "results": rows})


if __name__ == "__main__":
    typer.run(main)
