"""Round trips of a submission whose face and picture are compared, one after the other, on a single server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from abuse.faces.face_index import FacePlan
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.large_clusters import LARGE_SIZE
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.links.redis_link_store import RedisLinkStore
from abuse.pictures.media_index import MediaPlan
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.redis_port import Command
from abuse.store_time import StillTime
from config.policy import Policy
from config.settings import RedisSettings
from stream.redis.client import SingleServerClient
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.node import Answer, Node, connection_options
from tests.instants import NOW_MS
from tests.unit.stream.builders import OTHER_IMAGE, analysis, base64_of
from tests.unit.stream.fakes import WEEK_MS, FakeAnalyser, Pipeline
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import sent
from tests.unit.stream.pipeline.test_reuse_stage import guid

PREFIX = "trips:"
#: Admission; observation with enrolment and search; storing.
STRANGER = 3
#: The candidates; hints, the lead and histories; the number of members.
NEWCOMER = STRANGER + 3
#: The candidates; their hints and histories; their links.
MEMBER = STRANGER + 3


class _Watched(Node):
    """Node that keeps the commands of each exchange."""

    def __init__(self, options: dict[str, object]) -> None:
        super().__init__(options)
        self.exchanges: list[Sequence[Command]] = []

    async def exchange(self, commands: Sequence[Command]) -> list[Answer]:
        self.exchanges.append(commands)
        return await super().exchange(commands)


@pytest.fixture
async def node(empty_redis: str) -> AsyncIterator[_Watched]:
    watched = _Watched(connection_options(RedisSettings(url=empty_redis)))
    yield watched
    await watched.close()


def pipeline_over(node: Node, in_order: bool = True) -> Pipeline:
    calls, policy = SingleServerClient(node, 10, 8), Policy()
    ledger = RedisLedger(calls, PREFIX, policy.abuse.flag_ttl_s)
    pipeline = Pipeline(FakeAnalyser(), RedisDecisionStore(calls, PREFIX, 3600, StillTime(0)), ledger, policy)
    reuse = pipeline.reuse
    assert reuse.faces is not None
    reuse.pictures = RedisMediaIndex(calls, PREFIX, MediaPlan(), in_order=in_order)
    reuse.links, reuse.large = RedisLinkStore(calls, PREFIX, WEEK_MS), RedisLargeClusters(calls, PREFIX, WEEK_MS)
    index = RedisFaceIndex(calls, PREFIX, FacePlan(), in_order=in_order)
    reuse.faces = replace(reuse.faces, index=index)
    return pipeline


async def shown(node: _Watched, pipeline: Pipeline, number: int, person: int) -> int:
    """Round trips of a new correlation id that shows this person's face and picture. At the present time, since older
    faces are kept no longer."""
    pipeline.analyser.found = analysis(template=face(person, 0.001 * number), picture=picture(person))
    given = sent(
        number, correlation_id=guid(number), session_id=f"s-{number}", image=base64_of(OTHER_IMAGE + bytes([person]))
    )
    before = len(node.exchanges)
    await pipeline.decision(replace(given, appended_at_ms=NOW_MS + number))
    return len(node.exchanges) - before


async def test_round_trips(node):
    pipeline = pipeline_over(node)
    await shown(node, pipeline, 0, 0)  # the first learns which keys and switches there are
    strangers = [await shown(node, pipeline, number, number) for number in (1, 2, 3)]
    assert min(strangers) == STRANGER
    assert max(strangers) <= STRANGER + 1, "the exact templates of strangers who may be near"
    *small, last = [await shown(node, pipeline, 10 + number, 1) for number in range(LARGE_SIZE - 1)]
    assert small == [MEMBER] * (LARGE_SIZE - 2)
    assert last == MEMBER + 1, "it makes the cluster large"
    await shown(node, pipeline, 100, 1)
    newcomers = [await shown(node, pipeline, 101 + number, 1) for number in range(4)]
    assert newcomers == [NEWCOMER] * 4


async def test_keys_on_several_nodes_are_searched_after_enrolment(node):
    """On a cluster the parts of one round trip come in no order: one more."""
    pipeline = pipeline_over(node, in_order=False)
    await shown(node, pipeline, 0, 0)
    assert min([await shown(node, pipeline, number, number) for number in (1, 2, 3)]) == STRANGER + 1
