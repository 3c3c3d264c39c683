"""Erasing a person from everything on Redis: nothing names them, others stay, and the receipt is the same for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from abuse.event_time import milliseconds
from abuse.faces.face_index import EnrolledReference
from abuse.faces.protected_template import ProtectedTemplate
from abuse.ledger.expiry import record_expiry
from abuse.ledger.redis_ledger import RedisLedger
from abuse.links import large_clusters
from abuse.links.links import Link, LinkKind, links_life_ms
from abuse.pictures.frame_index import Capture
from abuse.pictures.media_index import EnrolledImage
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.redis_port import Command, RedisClient, Reply
from abuse.review.audit import check
from abuse.review.erasure import digest_of
from abuse.subjects import SubjectType, correlation
from abuse.submission_ref import SubmissionRef
from config.groups.services import RedisSettings
from stream.bootstrap.abuse import open_frame_index
from stream.bootstrap.sessions import open_session_store
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Output, Record
from stream.maintenance.store_records import RECORDS
from stream.pipeline.decision_store import StoredDecision
from stream.redis.client import connect
from stream.review.command_stage import CommandStage
from tests.contract.redis_servers import FaultyRedis
from tests.embedded_redis import flush
from tests.instants import NOW_MS
from tests.unit.abuse.builders import DAY_S, expire_due, guid, seen, subject
from tests.unit.stream.builders import OTHER_IMAGE, base64_of
from tests.unit.stream.maintenance.privacy_cases import (
    POLICY,
    PREFIX,
    SETTINGS,
    Breaking,
    Crash,
    erasing,
    everything,
    kind_of,
    line_over,
    naming,
    stage_over,
    submit,
    swept,
    wait_for_frames,
)
from tests.unit.stream.pipeline.abuse_cases import abuse_of
from tests.unit.stream.review.command_cases import FLAG_TTL_S, flag_events, published
from tests.unit.stream.sessions.builders import session_record

NONE = {
    "journal_lines": 0,
    "flags": 0,
    "mentions": 0,
    "links": 0,
    "faces": 0,
    "pictures": 0,
    "decisions": 0,
}


READS = frozenset({"GET", "HGET", "HGETALL", "PFCOUNT", "SMEMBERS", "ZRANGE", "VGETATTR", "HKEYS", "TIME"})


class Batches:
    """Calls that remember the keys written in each round trip."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls
        self.written: list[set[str]] = []

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self.written.append({str(command[1]) for command in commands if command[0] not in READS})
        return await self._calls.execute(commands)

    async def close(self) -> None:
        await self._calls.close()


@asynccontextmanager
async def emptied(url: str) -> AsyncIterator[RedisClient]:
    """A client of a Redis with nothing on it."""
    flush(url)
    calls = connect(RedisSettings(url=url, call_timeout_s=10))
    try:
        yield calls
    finally:
        await calls.close()


async def three_people(calls: RedisClient) -> list[Output]:
    """Three ids with one face and one picture, from one device and address, attack after attack: each of them is
    flagged, alone and with the others."""
    line = line_over(calls)
    for who in (1, 2, 3):
        for _ in range(4):
            await submit(line, who, looks=7)
    await submit(line, 1, looks=7, image="%", submission_id="photo-1b")  # refused before it is analysed
    other = {"device_id": "phone-4", "client_ip": "198.51.100.7", "image": base64_of(OTHER_IMAGE)}
    await submit(line, 4, looks=40, **other)  # a stranger to all of them
    return line.flags


async def obeyed(stage: CommandStage, given: Record) -> dict[str, Any]:
    entry: dict[str, Any] = orjson.loads(published(await stage.handle(given), "audit")[0].value or b"")
    return entry


async def test_nothing_names_the_erased(calls, empty_redis):
    await three_people(calls)
    await wait_for_frames(calls, 1)
    kinds = set(map(kind_of, naming(everything(empty_redis), guid(1))))
    assert kinds == {
        *("decision", "decisions-of", "abuse:journal", "abuse:flags", "abuse:flag", "abuse:used", "abuse:named"),
        *("abuse:links", "abuse:faces", "abuse:faces-of", "abuse:picture", "abuse:pictures-of"),
        *("join", "join-of"),
    }, "the test would prove nothing otherwise"
    assert kinds <= {record.name for record in RECORDS if record.erased}
    (answer,) = await stage_over(calls).handle(erasing(1))
    (owed,) = await swept(calls)
    assert orjson.loads(owed.value or b"")["result"]["reasons"] == ["server_error", "parts_erased"]
    after = everything(empty_redis)
    assert naming(after, guid(1)) + naming(after, "photo-1b") == []
    assert guid(1) not in repr((answer.key, answer.value, answer.headers))


async def test_sessions_of_the_erased(calls, empty_redis):
    """With every trace that leads to them; those of others stay, and the one that the command asked for is no
    more."""
    store = open_session_store(SETTINGS, calls)
    at = {"created_s": NOW_MS // 1000, "expires_s": NOW_MS // 1000 + 600}
    mine, others = (session_record(who, correlation_id=guid(who), **at) for who in (1, 2))
    for record in (mine, others):
        await store.create(record)
    entry = await obeyed(stage_over(calls), erasing(1))
    assert entry["changed"]["erased"]["sessions"] == 1
    after = everything(empty_redis)
    assert naming(after, guid(1)) + naming(after, mine.session_id) == []
    assert {kind_of(key) for key in naming(after, others.session_id)} == {
        "session",
        "sessions-of",
        "sessions",
        "sessions-due",
    }


async def test_others_stay(calls, empty_redis):
    await three_people(calls)
    before = everything(empty_redis)
    await stage_over(calls).handle(erasing(1))
    after = everything(empty_redis)
    for key in naming(before, guid(4)):
        if ":faces:" in key:  # those of an hour are kept together
            assert naming({key: after[key]}, guid(4))
        else:
            assert after[key] == before[key]
    for who in (2, 3):
        assert len(naming(after, guid(who))) >= len(naming(before, guid(who))) - 8
    own = f"{PREFIX}abuse:journal:{{|correlation_id|{guid(2)}|0}}"
    assert after[own] == before[own]
    assert guid(3).encode() in after[f"{PREFIX}abuse:links:{{|{guid(2)}}}"]
    flags = after[f"{PREFIX}abuse:flags:{{|correlation_id|{guid(2)}}}"]
    assert [text for text in (guid(3).encode(), b"photo") if text not in flags] == []
    shared = [key for key in after if "journal:{|address" in key and guid(2).encode() in after[key]]
    assert any(guid(1).encode() in before[key] for key in shared)


async def test_receipt_counts_and_names_stores(calls):
    await three_people(calls)
    entry = await obeyed(stage_over(calls), erasing(1))
    assert (entry["outcome"], check([entry]).problems) == ("applied", ())
    changed, digest = entry["changed"], digest_of(None, SubjectType.CORRELATION_ID, guid(1))
    assert changed["subject"] == {"type": "correlation_id", "sha256": [digest]}
    erased = changed["erased"]
    assert erased["journal_lines"] == 5 * 4, "in four journals, also what could not be read"
    assert (erased["decisions"], erased["faces"], erased["pictures"]) == (5, 4, 4)
    assert erased["links"] > 8
    assert min(erased["flags"], erased["mentions"]) >= 2
    kept = {each["store"]: each["until"] for each in changed["kept"]}
    assert (kept["erase.liveness.audit"], bool(kept["erase.liveness.submissions"])) == (None, True)
    links_until_ms = milliseconds(kept["links that only others keep"])
    assert links_until_ms - milliseconds(entry["at"]) == 2 * links_life_ms(POLICY), "of few links too"


async def test_erasing_again(calls, empty_redis):
    await three_people(calls)
    stage = stage_over(calls)
    first = await stage.handle(erasing(1))
    held = everything(empty_redis)
    assert await stage.handle(erasing(1)) == first
    assert everything(empty_redis) == held
    again = await obeyed(stage, erasing(1, "e-2"))
    assert (again["changed"]["erased"], again["number"]) == (NONE, 2)


@pytest.mark.slow
async def test_crash_anywhere(empty_redis):
    receipts, crash_at, finished = [], 0, False
    while not finished:
        async with emptied(empty_redis) as calls:
            await filled(calls)
            breaking = Breaking(calls, crash_at)
            try:
                await stage_over(breaking).handle(erasing(1))
                finished = True
            except Crash:
                crash_at += 1
            receipts.append((await obeyed(stage_over(calls), erasing(1)))["changed"])
            assert len(await swept(calls)) == 1, "the submission whose frames were erased is answered"
            assert naming(everything(empty_redis), guid(1)) == []
    assert len(receipts) > 15
    assert receipts == receipts[:1] * len(receipts)
    more = {"journal_lines": 2, "mentions": 1, "frames": 2, "sessions": 1, "parts": 1}
    assert receipts[0]["erased"] == dict.fromkeys(NONE, 1) | more


@pytest.mark.slow
async def test_node_away_for_a_moment(empty_redis):
    """Any one, while all the others carry out their parts of the same round trip."""
    async with emptied(empty_redis) as calls:
        await filled(calls)
        batches = Batches(calls)
        await stage_over(batches).handle(erasing(1))
        expected = (await obeyed(stage_over(calls), erasing(1)))["changed"]
        left = untrailed(empty_redis)
    together = {key for keys in batches.written for key in keys if len(keys) > 1}
    assert set(map(kind_of, together)) >= {"abuse:pictures", "abuse:journal"}
    for key in sorted(together):
        async with emptied(empty_redis) as calls:
            await filled(calls)
            failing = FaultyRedis(calls, lambda command, key=key: command[0] not in READS and command[1] == key)
            await stage_over(failing).handle(erasing(1))
            assert failing.failed
            assert (await obeyed(stage_over(calls), erasing(1)))["changed"] == expected
            assert untrailed(empty_redis) == left, key
            assert len(await swept(calls)) == 1, key
            assert naming(everything(empty_redis), guid(1)) == [], key


def untrailed(url: str) -> dict[str, int]:
    """How much each key holds, but for those of the audit trail, which no two installations name alike."""
    return {key: len(value) for key, value in everything(url).items() if ":audit" not in key}


async def filled(calls: RedisClient) -> None:
    """Write one record of person 1 to each store, without a worker's stages: quick enough for many runs."""
    await wait_for_frames(calls, 1)
    line, me, other = line_over(calls), guid(1), guid(2)
    assert line.reuse.faces is not None
    vector = np.ones(8, "<f4").tobytes()
    at = {"created_s": NOW_MS // 1000, "expires_s": NOW_MS // 1000 + 600}
    await open_session_store(SETTINGS, calls).create(session_record(correlation_id=me, **at))
    for who in (me, other):
        ids = {"correlation_id": who, "submission_id": f"of-{who}", "session_id": None, "at_ms": NOW_MS}
        template = ProtectedTemplate("net", "k1", vector)
        await line.reuse.faces.index.enrol([EnrolledReference(tenant=None, template=template, **ids)])
        codes = KeyedImageHashes(key_id="k1", bytes=1, pixels=2, perceptual=7)
        await line.reuse.pictures.enrol([EnrolledImage(tenant=None, **ids, hashes=(codes,))])
    named = {"tenant": None, "correlation_id": me, "session_id": "ls_1", "submission_id": "check-1"}
    await open_frame_index(SETTINGS, POLICY, calls).claim(Capture(**named, hashes=(codes,)), NOW_MS)
    ends = [SubmissionRef(at_ms=NOW_MS, submission_id=f"of-{who}", correlation_id=who) for who in (me, other)]
    await line.reuse.links.write(None, [Link(kind=LinkKind.FACE, earlier=ends[0], later=ends[1])])
    await line.ledger.observe(seen(1, who=1, at_s=0, device=1))
    for name in (1, 2):
        events = flag_events(subject=correlation(guid(name)))
        document = orjson.loads(events[0].document)
        linked = {"correlation_id": guid(3 - name), "session": None, "submission": "x", "when": "", "why": "same: y"}
        document["evidence"]["linked"] = [linked]
        await line.ledger.record([replace(events[0], document=orjson.dumps(document))])
    links = [{"ends": [{"correlation_id": me}, {"correlation_id": other}]}]
    for who in (me, other):
        decision = orjson.dumps({"correlation_id": who, "abuse": {"links": links}})
        ids = SubmissionIds(submission_id=f"of-{who}", correlation_id=who)
        await line.store.put_if_absent(ids, StoredDecision("a" * 32, decision))


async def test_erasing_a_device(calls, empty_redis):
    line = line_over(calls)
    for who in range(1, 8):
        output = await submit(line, who, looks=who)
    (flag,) = [each for each in abuse_of(output)["flags"] if each["subject"]["type"] == "device"]
    device, flag_id = flag["subject"], flag["flag_id"].encode()
    before = everything(empty_redis)
    entry = await obeyed(stage_over(calls), erasing(subject=device))
    assert entry["changed"]["erased"] == NONE | {"journal_lines": 7, "flags": 1}
    after = everything(empty_redis)
    assert set(map(kind_of, naming(after, device["key"]))) == {"decision"}, "they expire by themselves"
    gone = {key for key in set(before) - set(after) if kind_of(key) not in ("abuse:flag-index", "abuse:due")}
    assert gone == {key for key in before if device["key"] in key or key.endswith(f":{{{flag['flag_id']}}}")}
    listed = [[k for k, value in held.items() if ":flag-index:" in k and flag_id in value] for held in (before, after)]
    assert [len(keys) for keys in listed] == [2, 0], "the tenant's and the one over all"


async def test_erasing_former_keys(calls, empty_redis):
    line = line_over(calls)
    output = await submit(line, 1, looks=1)
    old = next(each for each in abuse_of(output)["observation"]["subjects"] if each["type"] == "device")
    fresh = {"type": "device", "key": subject(SubjectType.DEVICE, 9).key, "former": [old["key"]]}
    entry = await obeyed(stage_over(calls), erasing(subject=fresh))
    assert entry["changed"]["erased"]["journal_lines"] == 1
    assert len(entry["changed"]["subject"]["sha256"]) == 2
    assert [key for key in everything(empty_redis) if old["key"] in key] == []


async def test_flag_expiring_while_erased(calls, empty_redis):
    """The sweeper has published it and is about to write that down."""
    await three_people(calls)
    ledger, long_after_ms = RedisLedger(calls, PREFIX, FLAG_TTL_S), NOW_MS + (FLAG_TTL_S + DAY_S) * 1000
    mine = [event for event in await expire_due(ledger, long_after_ms) if event.subject.key == guid(1)]
    await stage_over(calls).handle(erasing(1))
    for event in mine:
        await record_expiry(ledger, event)
    assert mine
    held = everything(empty_redis)
    assert naming(held, guid(1)) == []
    due = b"".join(value for key, value in held.items() if ":due:" in key)
    assert not any(event.flag_id.encode() in due for event in mine)
    later = await expire_due(ledger, long_after_ms)
    assert later
    assert all(guid(1).encode() not in event.document for event in later)


async def test_paused_id_is_admitted_again(calls):
    line = line_over(calls)
    for _ in range(6):
        output = await submit(line, 1, looks=1)
    assert orjson.loads(output.value or b"")["error"]["code"] == "SUBJECT_PAUSED"
    await stage_over(calls).handle(erasing(1))
    output = await submit(line, 1, looks=1)
    assert orjson.loads(output.value or b"")["error"] is None


async def test_lead_of_a_large_cluster_is_erased(calls, empty_redis, monkeypatch):
    monkeypatch.setattr(large_clusters, "LARGE_SIZE", 3)
    await three_people(calls)
    await submit(line_over(calls), 5, looks=7, device_id="phone-5", client_ip="198.51.100.9")
    before = everything(empty_redis)
    tables = {"abuse:cluster-lead", "abuse:clusters-of"}
    assert tables <= set(map(kind_of, naming(before, guid(1))))
    assert "abuse:cluster" in set(map(kind_of, before))
    assert naming({key: text for key, text in before.items() if kind_of(key) == "abuse:cluster"}, guid(5)) == []
    await stage_over(calls).handle(erasing(1))
    assert naming(everything(empty_redis), guid(1)) == []
