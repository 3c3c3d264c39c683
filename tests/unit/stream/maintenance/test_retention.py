"""Retention: the store records against the keys that a worker writes, and the table against the settings."""

from __future__ import annotations

import uuid

import pytest
import redis

from abuse.event_time import HOUR_MS
from abuse.keys.key_checks import agree
from abuse.keys.key_periods import HashKey
from abuse.keys.redis_key_checks import RedisKeyChecks
from abuse.ledger.expiry import turn_ms
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links import large_clusters
from abuse.pictures.frame_index import Capture
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.redis_port import RedisClient
from abuse.store_time import RedisTime
from config.groups.abuse_table import AbuseSettings
from config.groups.services import KafkaSettings, RedisSettings
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.abuse import open_frame_index
from stream.bootstrap.fleet import badge
from stream.bootstrap.sessions import open_session_store
from stream.events.topics import TABLE
from stream.kafka.agents.caution import PartitionNote
from stream.kafka.worker.worker import Role
from stream.maintenance.retention import Personal, Store, StorePlace, beyond_erasure, stores
from stream.redis.installation import mark_rebuilt
from stream.redis.marker import marker_keys, store_look
from stream.redis.partition_notes import RedisPartitionNotes
from stream.redis.roll_call import RedisRollCall
from stream.sessions.session_request import LONGEST_TOKEN_S
from tests.instants import NOW_MS
from tests.unit.stream.builders import OTHER_IMAGE, base64_of
from tests.unit.stream.maintenance.privacy_cases import (
    POLICY,
    PREFIX,
    SETTINGS,
    erasing,
    line_over,
    stage_over,
    submit,
    wait_for_frames,
)
from tests.unit.stream.review.command_cases import sent
from tests.unit.stream.sessions.builders import session_record


def families(settings: Settings = SETTINGS, policy: Policy = POLICY) -> dict[str, Store]:
    return {each.name: each for each in stores(settings, policy) if each.place is StorePlace.REDIS}


def family_of(key: str) -> str:
    """The name of a key's record: up to its braces, or all of the key; the number of a probe is no part of it."""
    name = key.partition(":{")[0]
    return name.rpartition(":")[0] if ":probe:" in name else name


async def everything_happens(calls: RedisClient) -> None:
    line, stage = line_over(calls), stage_over(calls)
    for who in (1, 2, 3):
        for _ in range(3):
            await submit(line, who, looks=7)
    await submit(line, 3, looks=7, submission_id="used-twice")
    await submit(line, 3, looks=7, submission_id="used-twice", image=base64_of(OTHER_IMAGE))
    await stage.handle(sent("settings.update", rules={"device_velocity": {"enforced": True}}))
    await stage.handle(erasing(1))
    await submit(line, 4, looks=7, device_id="phone-4", client_ip="198.51.100.4")
    await RedisLedger(calls, PREFIX, POLICY.abuse.flag_ttl_s).take_turn("me", turn_ms(SETTINGS.abuse.sweep_s))
    await agree(RedisKeyChecks(calls, PREFIX), [HashKey(id="k1", secret=b"1" * 32)])
    await RedisRollCall(calls, SETTINGS.group_id, RedisTime(calls)).sign(badge(SETTINGS, POLICY, {Role.DETECT}))
    await RedisPartitionNotes(calls, PREFIX).put({("submissions", 0): PartitionNote(first=1, covers=2)})
    at = {"created_s": NOW_MS // 1000, "expires_s": NOW_MS // 1000 + LONGEST_TOKEN_S}
    await open_session_store(SETTINGS, calls).create(session_record(**at))
    codes = KeyedImageHashes(key_id="k1", bytes=1, pixels=2, perceptual=7)
    named = {"tenant": None, "correlation_id": str(uuid.UUID(int=1)), "session_id": "ls_1", "submission_id": "check-1"}
    await open_frame_index(SETTINGS, POLICY, calls).claim(Capture(**named, hashes=(codes,)), NOW_MS)
    await line.store.ping()
    await wait_for_frames(calls, 5)
    markers = marker_keys(PREFIX, cluster=False)
    await mark_rebuilt(calls, markers, NOW_MS)
    await calls.execute([each for key in markers for each in store_look(key, NOW_MS)])


async def test_every_key_has_a_record(calls, empty_redis, monkeypatch):
    monkeypatch.setattr(large_clusters, "LARGE_SIZE", 3)
    await everything_happens(calls)
    client, table = redis.Redis.from_url(empty_redis), families()
    longest: dict[str, int] = {}
    for key in client.scan_iter(count=1000):
        family = table[family_of(key.decode())]
        expires_ms = int(client.pexpiretime(key))  # by event time or by the server's clock, which are decades apart
        left_ms = expires_ms - NOW_MS if expires_ms > NOW_MS else int(client.pttl(key))
        assert family.life_ms is not None
        assert 0 < left_ms <= family.life_ms, key
        longest[family.name] = max(left_ms, longest.get(family.name, 0))
    client.close()
    assert set(longest) == set(table), "each family of the table is written by somebody"
    for name, left_ms in longest.items():
        assert left_ms > (table[name].life_ms or 0) * 0.7, f"{name}: the table says more than is needed"


def test_every_topic_has_a_row():
    table = {each.name: each for each in stores(SETTINGS, POLICY) if each.place is StorePlace.KAFKA}
    lives = {f"erase.{spec.topic}": spec.life_ms for spec in TABLE}
    assert {name: each.life_ms for name, each in table.items()} == lives
    for spec in TABLE:
        assert spec.biometric == (table[f"erase.{spec.topic}"].personal is Personal.BIOMETRIC)
        assert spec.biometric >= spec.carries_images


def test_memory():
    memory = [each for each in stores(SETTINGS, POLICY) if each.place is StorePlace.MEMORY]
    pictures = {each.name for each in memory if each.personal is Personal.BIOMETRIC}
    assert ({each.name for each in memory}, pictures) == ({"worker", "slots", "flags"}, {"worker", "slots"})
    assert pictures == {each.name for each in memory if each.after.startswith("until the decision")}
    assert {each.life_ms for each in memory} == {None}


LONGER = {"abuse:flags": {"flag_ttl_s": 60 * 86_400}, "abuse:faces": {"face_reuse": {"window_s": 14 * 86_400}}}
LONGER |= {f"abuse:{name}": {"media_replay": {"window_s": 14 * 86_400}} for name in ("pictures", "links")}


@pytest.mark.parametrize(("name", "longer"), LONGER.items(), ids=LONGER)
def test_lifetimes_follow_the_policy(name, longer):
    policies = (Policy(), Policy.model_validate({"abuse": longer}))
    before, after = (families(SETTINGS, policy)[f"{PREFIX}{name}"].life_ms or 0 for policy in policies)
    assert 0 < before < after


@pytest.mark.parametrize(
    ("hours", "holds", "places", "after"),
    [
        (1, "by the hour", "which hours hold faces", "the hour began"),
        (6, "by the stretch of 6 hours", "which stretches of 6 hours hold faces", "the stretch of 6 hours began"),
        (24, "by the day", "which days hold faces", "the day began"),
    ],
)
def test_faces_by_stretch(hours, holds, places, after):
    table = families(Settings(abuse=AbuseSettings(face_span_h=hours)), Policy())
    faces, faces_of = table["liveness:abuse:faces"], table["liveness:abuse:faces-of"]
    assert faces.life_ms == faces_of.life_ms == (hours + 8 * 24) * HOUR_MS
    assert (faces.holds, faces.after) == (f"protected face templates, {holds}", after)
    assert faces_of.after == after.replace(" began", " of the last began")
    assert table["liveness:abuse:face-places"].holds == places


def test_lifetimes_and_names_follow_the_settings():
    other = Settings(redis=RedisSettings(decision_ttl_s=7200, key_prefix="mine:"), kafka=KafkaSettings())
    table = families(other)
    assert table["mine:decision"].life_ms == 7_200_000
    assert all(name.startswith("mine:") for name in table)


def test_stores_beyond_erasure():
    beyond = beyond_erasure(SETTINGS, POLICY)
    assert {f"erase.{spec.topic}" for spec in TABLE} <= set(beyond)
    assert beyond["erase.liveness.audit"] is None
    left = [each for each in families().values() if not each.erased and each.personal is not Personal.NONE]
    assert {each.name for each in left} == {f"{PREFIX}abuse:{name}" for name in ("audit", "command", "faces-gone")}
    assert {each.name for each in left} - set(beyond) == {f"{PREFIX}abuse:faces-gone"}, "hashes, for ten minutes"
