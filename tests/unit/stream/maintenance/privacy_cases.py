"""A whole installation on Redis: a worker's stages, a reviewer, and everything that Redis holds of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import redis

from abuse.faces.face_index import FacePlan
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links.links import links_life_ms
from abuse.links.redis_large_clusters import RedisLargeClusters
from abuse.links.redis_link_store import RedisLinkStore
from abuse.pictures.media_index import MediaPlan
from abuse.pictures.redis_media_index import RedisMediaIndex
from abuse.redis_port import Command, RedisClient, Reply
from abuse.review.redis_audit import RedisAuditLog, RedisCommandLog
from abuse.store_time import StillTime
from config.groups.services import KafkaSettings
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.abuse import open_erasures, open_pending
from stream.events.message.messages import Output, Record
from stream.events.message.session_terms import FramePart
from stream.events.wire.detection_codec import encode_detection
from stream.maintenance.join_sweeper import JoinSweeper
from stream.pipeline.join.pending import TURN_MS, PendingPart, set_name
from stream.redis.decision_store import RedisDecisionStore
from stream.review.command_stage import CommandStage
from tests.embedded_redis import dump
from tests.instants import NOW_MS
from tests.unit.abuse.builders import guid
from tests.unit.stream.builders import analysis, detection, ids
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import sent as submission
from tests.unit.stream.pipeline.join_cases import Sent
from tests.unit.stream.review.command_cases import FLAG_TTL_S, Reviewer
from tests.unit.stream.review.command_cases import fields as command_fields
from tests.unit.stream.review.command_cases import record as command_record

SETTINGS = Settings(kafka=KafkaSettings(topic_prefix="erase."))
PREFIX = SETTINGS.redis_prefix
POLICY = Policy.model_validate({"abuse": {"flag_ttl_s": FLAG_TTL_S}})
WEEK_MS = 7 * 86_400_000


class Crash(Exception):
    """The process ends here."""


class Breaking:
    """Ends the process before the round trip of this number; `seen` counts them."""

    def __init__(self, calls: RedisClient, crash_at: int) -> None:
        self._calls, self._crash_at = calls, crash_at
        self.seen = 0

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if self.seen == self._crash_at:
            raise Crash
        self.seen += 1
        return await self._calls.execute(commands)

    async def close(self) -> None:
        await self._calls.close()


def line_over(calls: RedisClient, policy: Policy = POLICY) -> Pipeline:
    """A worker's two stages, nothing of them in memory."""
    store = RedisDecisionStore(calls, PREFIX, SETTINGS.redis.decision_ttl_s, StillTime(NOW_MS))
    line = Pipeline(FakeAnalyser(), store, RedisLedger(calls, PREFIX, policy.abuse.flag_ttl_s), policy)
    line.reuse.pictures = RedisMediaIndex(calls, PREFIX, MediaPlan(window_ms=WEEK_MS))
    line.reuse.links = RedisLinkStore(calls, PREFIX, links_life_ms(policy))
    line.reuse.large = RedisLargeClusters(calls, PREFIX, links_life_ms(policy))
    assert line.reuse.faces is not None
    line.reuse.faces = replace(line.reuse.faces, index=RedisFaceIndex(calls, PREFIX, FacePlan(window_ms=WEEK_MS)))
    return line


async def wait_for_frames(calls: RedisClient, who: int) -> None:
    """The first of twelve frames of a person's submission, which waits for the others."""
    pending = open_pending(SETTINGS, calls, StillTime(NOW_MS))
    part = FramePart(frame_index=0, frame_count=12)
    first = detection(ids=ids(submission_id=f"frames-{who}", correlation_id=guid(who)), part=part)
    own = PendingPart(slot="frame:0", digest=first.fingerprint, payload=encode_detection(first))
    name = set_name(first.ids, "frames:12")
    await pending.put(name, first.ids, own, NOW_MS + 60_000)
    await pending.take_turn("me", TURN_MS)


async def swept(calls: RedisClient) -> list[Output]:
    """Outputs of a sweep of the join."""
    store = RedisDecisionStore(calls, PREFIX, SETTINGS.redis.decision_ttl_s, StillTime(NOW_MS))
    line = Pipeline(store=store, policy=POLICY, pending=open_pending(SETTINGS, calls, StillTime(NOW_MS)))
    publisher = Sent()
    await JoinSweeper(stage=line.decide_stage, publisher=publisher, name="me").sweep()  # type: ignore[arg-type]
    return publisher.outputs


def stage_over(calls: RedisClient) -> CommandStage:
    reviewer = Reviewer(
        RedisLedger(calls, PREFIX, FLAG_TTL_S), RedisCommandLog(calls, PREFIX), RedisAuditLog(calls, PREFIX)
    )
    store = RedisDecisionStore(calls, PREFIX, SETTINGS.redis.decision_ttl_s, StillTime(NOW_MS))
    stage = reviewer.stage
    erasures = open_erasures(SETTINGS, POLICY, calls, store)
    return replace(stage, services=replace(stage.services, erasures=erasures))


_numbers = itertools.count(1)


async def submit(line: Pipeline, who: int, *, looks: int, confidence: float = 0.1, **changes: Any) -> Output:
    """A submission of person `who` that shows face and picture `looks`, from their own device unless said otherwise."""
    number = next(_numbers)
    line.analyser.found = analysis(confidence, template=face(looks), picture=picture(looks))
    given = {
        "submission_id": f"photo-{number}",
        "correlation_id": guid(who),
        "session_id": f"visit-{who}-{number}",
        "device_id": "phone-of-two",
        "client_ip": "203.0.113.9",
        **changes,
    }
    record = submission(number, **given)
    return await line.decision(replace(record, appended_at_ms=NOW_MS + number))


def erasing(who: int = 1, command_id: str = "e-1", **changes: Any) -> Record:
    """The command, keyed by whom it is about, as `liveness abuse erase` does it."""
    subject = changes.pop("subject", {"type": "correlation_id", "key": guid(who)})
    fields = command_fields("subject.erase", command_id=command_id, subject=subject, reason="request", **changes)
    given = command_record(orjson.dumps(fields))
    return replace(given, key=subject["key"].encode(), appended_at_ms=NOW_MS + 50_000)


def everything(url: str, prefix: str = PREFIX) -> dict[str, bytes]:
    """All keys and all they hold, as text."""
    with redis.Redis.from_url(url) as client:
        return {key: _text(value) for key, value in dump(client, prefix).items()}


def kind_of(key: str, prefix: str = PREFIX) -> str:
    """The name of a key's store record."""
    return key.removeprefix(prefix).partition(":{")[0]


def _text(value: Any) -> bytes:
    if isinstance(value, dict):
        value = sorted(value.items())
    if isinstance(value, list | tuple):
        return b"\n".join(map(_text, value))
    return value if isinstance(value, bytes) else str(value).encode()


def naming(held: dict[str, bytes], text: str) -> list[str]:
    """Keys that name it or hold it."""
    return sorted(key for key, value in held.items() if text in key or text.encode() in value)
