"""Pipeline on the Redis adapters, faces and pictures included, over a node that keeps what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from abuse.faces.face_index import FacePlan
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.links.redis_link_store import RedisLinkStore
from abuse.pictures.media_index import MediaPlan
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.redis_port import Command
from abuse.store_time import StillTime
from config.policy import Policy
from stream.redis.client import SingleServerClient
from stream.redis.decision_store import RedisDecisionStore
from stream.redis.node import Answer, Node
from tests.unit.stream.fakes import WEEK_MS, FakeAnalyser, Pipeline

PREFIX = "trips:"


class WatchedNode(Node):
    """Node that keeps the commands of each exchange."""

    def __init__(self, options: dict[str, object]) -> None:
        super().__init__(options)
        self.exchanges: list[Sequence[Command]] = []

    async def exchange(self, commands: Sequence[Command]) -> list[Answer]:
        self.exchanges.append(commands)
        return await super().exchange(commands)


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
