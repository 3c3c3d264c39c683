"""Cost of the abuse stage with faces and pictures compared: strangers, ordinary traffic, one face in all submissions.

.venv/bin/python -m tests.bench.reuse_stage [--faces 10000]

The decide stage's abuse work (observing, enrolling, searching, linking, rules, storing flags) of one process on the
configured Redis, without Kafka and analysis. Templates and hashes are made up: strangers lie 0.85 apart, a repeated
face 0.1 from the first, a repeated picture has the same hashes. The mixes take turns in rounds, each in a room of its
own that was filled with `--faces` strangers before; ratios are between mixes of one round.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import EnrolledReference, FacePlan
from abuse.faces.protected_template import ProtectedTemplate
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.flags.flag_events import PolicyName
from abuse.keys.key_periods import HashKey
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.links import links_life_ms
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.links.redis_link_store import RedisLinkStore
from abuse.links.reuse import Faces, ReuseSearch
from abuse.links.reuse_references import ReuseReferences
from abuse.observation import Origin
from abuse.pictures.media_index import media_plan
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.rules.engine import AbuseEngine
from abuse.subjects import Subject, SubjectType
from config.policy import Policy
from detectors.template.impostors import ImpostorModel
from stream.bench.redis_room import room
from stream.cli.console import say
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection
from stream.pipeline.decision.abuse_stage import AbuseStage
from stream.pipeline.verdict.verdict import Verdict, VerdictKind
from stream.redis.client import connect
from stream.runtime.patience import RetryPolicy
from tests.bench.growth import CountedCalls, Row, one_server, percentiles, show

DIMENSIONS, STRANGERS_APART, REPEATS_APART = 128, 0.85, 0.2
MODEL, KEY = "bench", "k1"
#: Share of submissions that show a face and a picture of the last hundred once more.
ORDINARY_REPEATS = 0.03
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Face and picture as shown."""

    vector: np.ndarray
    hashes: KeyedImageHashes


class Crowd:
    """People made up: seeded, so that every mix and round meets the same."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        common = np.random.default_rng(7).standard_normal(DIMENSIONS)
        self._common = common / np.linalg.norm(common)
        self._met: list[Person] = []

    def stranger(self) -> Person:
        off = self._chance.standard_normal(DIMENSIONS) * STRANGERS_APART / np.sqrt(2 * DIMENSIONS)
        exact, pixels, perceptual = (int(n) for n in self._chance.integers(0, 2**63, 3))
        hashes = KeyedImageHashes(key_id=KEY, bytes=exact, pixels=pixels, perceptual=perceptual)
        self._met = [*self._met[-99:], Person(vector=self._common + off, hashes=hashes)]
        return self._met[-1]

    def again(self, person: Person) -> Person:
        off = self._chance.standard_normal(DIMENSIONS)
        return Person(vector=person.vector + off * REPEATS_APART / np.linalg.norm(off) / 2, hashes=person.hashes)

    def next(self, mix: str, hot: Person) -> Person:
        if mix == "hot":
            return self.again(hot)
        if mix == "ordinary" and self._met and self._chance.random() < ORDINARY_REPEATS:
            return self.again(self._met[int(self._chance.integers(len(self._met)))])
        return self.stranger()


class Room:
    """Abuse stage over a room of its own on Redis, filled with strangers."""

    def __init__(self, calls: CountedCalls, prefix: str, policy: Policy, mix: str) -> None:
        self.calls, self._mix = calls, mix
        self._crowd = Crowd(11)
        self._hot = self._crowd.stranger()
        self._chance = np.random.default_rng(13)
        ledger = RedisLedger(calls, prefix, policy.abuse.flag_ttl_s)
        self._index = RedisFaceIndex(calls, prefix, FacePlan(deadline_s=60), in_order=True)
        keys = TemplateProtection([HashKey(id=KEY, secret=b"s" * 32)], policy.abuse.face_reuse.window_s * 1000)
        bounds = FaceBounds(impostors=ImpostorModel(dof=60.0, scale=0.08), farthest=0.6)
        reuse = ReuseSearch(
            pictures=RedisMediaIndex(calls, prefix, media_plan(policy), in_order=True),
            links=RedisLinkStore(calls, prefix, links_life_ms(policy)),
            large=RedisLargeClusters(calls, prefix, links_life_ms(policy)),
            ledger=ledger,
            policy=policy.abuse,
            faces=Faces(model=MODEL, index=self._index, keys=keys, bounds=bounds),
        )
        engine = AbuseEngine(policy.abuse, PolicyName(name=policy.name, sha256=policy.sha256))
        self._stage = AbuseStage(ledger=ledger, engine=engine, reuse=reuse, patience=RetryPolicy(), policy=policy)
        self._number = 0
        self.took_s: list[float] = []
        self.cpu_s, self.flag_events = 0.0, 0

    async def fill(self, faces: int) -> None:
        """Strangers of the last hour enrolled."""
        now_ms = time.time_ns() // 1_000_000
        for start in range(0, faces, 50):
            count = min(50, faces - start)
            people = [self._crowd.stranger() for _ in range(count)]
            await self._index.enrol(
                [
                    EnrolledReference(
                        tenant=None,
                        correlation_id=str(uuid.uuid4()),
                        submission_id=f"fill-{start + n}",
                        session_id=None,
                        at_ms=now_ms - int(self._chance.integers(3_600_000)),
                        template=_template(person),
                    )
                    for n, person in enumerate(people)
                ]
            )

    async def decide(self, count: int) -> None:
        """Submissions assessed and their flag events stored, `AT_ONCE` at a time; times and processor time are kept."""
        waiting = iter([self._crowd.next(self._mix, self._hot) for _ in range(count)])

        async def one_after_another() -> None:
            for person in waiting:
                detection = self._detection(person)
                began = time.monotonic()
                assessed = await self._stage.assess(detection, _VERDICT, observed=True)
                self.flag_events += len(await self._stage.record(assessed.events))
                self.took_s.append(time.monotonic() - began)

        self.cpu_s -= time.process_time()
        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        self.cpu_s += time.process_time()

    def _detection(self, person: Person) -> Detection:
        self._number += 1
        address, prefix = (f"{int(n):032x}" for n in self._chance.integers(0, 2**63, 2))
        origin = Origin(
            device=Subject(type=SubjectType.DEVICE, key=f"{self._number:032x}"),
            address=Subject(type=SubjectType.ADDRESS, key=address),
            prefix=Subject(type=SubjectType.PREFIX, key=prefix),
        )
        return Detection(
            ids=SubmissionIds(
                submission_id=f"sub-{self._number}",
                correlation_id=str(uuid.UUID(int=self._number)),
                tenant=None,
                session_id=f"session-{self._number}",
                resource_id=None,
            ),
            fingerprint="f" * 64,
            appended_at_ms=time.time_ns() // 1_000_000,
            finding=(),
            origin=origin,
            references=ReuseReferences(
                face=_template(person),
                picture=(person.hashes,),
            ),
        )


_VERDICT = Verdict(kind=VerdictKind.LIVE, confidence=0.8)


def _template(person: Person) -> ProtectedTemplate:
    return ProtectedTemplate(MODEL, KEY, person.vector.astype("<f2").astype("<f4").tobytes())


def main(
    faces: Annotated[int, typer.Option(help="Strangers enrolled before.")] = 10_000,
    count: Annotated[int, typer.Option(help="Submissions a mix and round.")] = 150,
    rounds: Annotated[int, typer.Option()] = 3,
    mixes: Annotated[str, typer.Option()] = "strangers,ordinary,hot",
) -> None:
    """Measure the abuse stage on the configured Redis."""
    settings, policy = one_server(), Policy()

    async def run(prefix: str) -> list[Row]:
        calls = CountedCalls(connect(settings.redis.model_copy(update={"call_timeout_s": 20.0})))
        rooms = {mix: Room(calls, f"{prefix}{mix}:", policy, mix) for mix in mixes.split(",")}
        trips = dict.fromkeys(rooms, 0)
        try:
            for each in rooms.values():
                await each.fill(faces)
                await each.decide(40)
                each.took_s, each.cpu_s, each.flag_events = [], 0.0, 0
            for _ in range(rounds):
                for mix, each in rooms.items():
                    before = calls.trips
                    await each.decide(count)
                    trips[mix] += calls.trips - before
        finally:
            await calls.close()
        done = count * rounds
        return [
            {
                "mix": mix,
                **percentiles("took", each.took_s),
                "cpu_ms": each.cpu_s * 1000 / done,
                "trips": trips[mix] / done,
                "flag_events": each.flag_events / done,
            }
            for mix, each in rooms.items()
        ]

    with room(settings.redis, say) as prefix:
        show({"faces": faces, "rows": asyncio.run(run(prefix))})


if __name__ == "__main__":
    typer.run(main)
