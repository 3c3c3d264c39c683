"""The contract of audit logs and command logs: in memory, on the embedded Redis, a real one and a real cluster.

All workers append to one chain, each command is answered once, everything expires."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from abuse.redis_port import ForeignValue
from abuse.review.audit import (
    AuditLog,
    ChainCheck,
    CommandKey,
    CommandLog,
    Head,
    InMemoryAuditLog,
    InMemoryCommandLog,
    check,
    head_after,
)
from abuse.review.redis_audit import ENTRY_TTL_S, HEAD_TTL_S, RedisAuditLog, RedisCommandLog
from tests.contract.redis_servers import RedisServer
from tests.unit.abuse.review.test_audit import entry_of

WORKERS = 4
SENT = CommandKey(None, "c-1")


@dataclass(frozen=True, slots=True)
class Logs:
    """Several workers' logs over one state, and where there is one, the server."""

    audits: Sequence[AuditLog]
    commands: Sequence[CommandLog]
    redis: RedisServer | None = None

    @property
    def head_key(self) -> str:
        return self.redis.key("abuse:audit-head")


def over(redis: RedisServer) -> Logs:
    clients = redis.workers(WORKERS)
    return Logs(
        [RedisAuditLog(calls, redis.prefix) for calls in clients],
        [RedisCommandLog(calls, redis.prefix) for calls in clients],
        redis,
    )


@pytest.fixture
def logs(any_redis: RedisServer | None) -> Logs:
    if any_redis is not None:
        return over(any_redis)
    return Logs([InMemoryAuditLog()] * WORKERS, [InMemoryCommandLog()] * WORKERS)


@pytest.fixture
def on_redis(redis_server: RedisServer) -> Logs:
    return over(redis_server)


async def append(log: AuditLog, *numbers: int) -> list[dict[str, Any]]:
    return [orjson.loads(await log.append(entry_of(number), await log.head())) for number in numbers]


def whole(entries: Sequence[dict[str, Any]], length: int) -> bool:
    return check(entries) == ChainCheck(entries=length, chains=1, problems=())


async def test_entries_follow_each_other(logs):
    """All workers begin the same chain, and its head stays until something is appended."""
    heads = await asyncio.gather(*(log.head() for log in logs.audits for _ in range(5)))
    assert [head.number for head in set(heads)] == [0]
    entries = await append(logs.audits[0], *range(5))
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5]
    assert whole(entries, 5)
    assert await logs.audits[1].head() == head_after(orjson.dumps(entries[-1]))


async def test_simultaneous_workers_make_one_whole_chain(logs):
    async def worker(which: int) -> list[dict[str, Any]]:
        return await append(logs.audits[which], *range(which * 50, which * 50 + 50))

    entries = [entry for each in await asyncio.gather(*map(worker, range(WORKERS))) for entry in each]
    assert whole(entries, 200)
    assert {entry["command_id"] for entry in entries} == {f"c-{number}" for number in range(200)}
    assert (await logs.audits[0].head()).number == 200


async def test_entries_appended_behind_one_head_find_a_place_each(logs):
    after = await logs.audits[0].head()
    values = await asyncio.gather(*(log.append(entry_of(n), after) for n, log in enumerate(logs.audits)))
    assert whole([orjson.loads(value) for value in values], WORKERS)
    assert (await logs.audits[0].head()).number == WORKERS


async def test_entry_appended_again_is_the_same_bytes(logs):
    """Wherever a worker begins to look, and whatever the repeat says: the command counts."""
    one, other = logs.audits[:2]
    begin = await one.head()
    first = await one.append(entry_of(1), begin)
    rest = await append(other, *range(2, 8))
    for again in (entry_of(1), entry_of(1, outcome="refused")):
        assert await other.append(again, begin) == first
    assert await one.head() == head_after(orjson.dumps(rest[-1])), "looking at the past does not move the end back"
    late = orjson.loads(await other.append(entry_of(99), begin))
    assert whole([orjson.loads(first), *rest, late], 8)


async def test_entries_of_two_tenants_with_one_command_id_are_two(logs):
    begin = await logs.audits[0].head()
    tenants = (None, "bank-1", "bank-2")
    values = [await logs.audits[0].append(entry_of(1, tenant=tenant), begin) for tenant in tenants]
    entries = [orjson.loads(value) for value in values]
    assert [entry["tenant"] for entry in entries] == [*tenants]
    assert whole(entries, 3)
    assert [await logs.audits[1].append(entry_of(1, tenant=tenant), begin) for tenant in tenants] == values


async def test_next_entry_mends_a_head_that_lags(on_redis):
    one, other = on_redis.audits[:2]
    begin = await one.head()
    entries = await append(one, *range(6))
    await one.restore(begin)
    entries += await append(other, 99)
    assert whole(entries, 7)
    assert (await one.head()).number == 7


async def test_lost_head_begins_another_chain_which_shows(on_redis):
    """An append under way at that moment leaves both chains whole."""
    one, other = on_redis.audits[:2]
    entries = await append(one, *range(3))
    planned = await one.head()
    await on_redis.redis.client.delete(on_redis.head_key)
    entries += await append(other, *range(3, 6))
    assert [entry["number"] for entry in entries] == [1, 2, 3, 1, 2, 3]
    entries.append(orjson.loads(await one.append(entry_of(99), planned)))
    entries += await append(other, *range(6, 9))
    checked = check(entries)
    assert (checked.entries, checked.chains, checked.problems) == (10, 2, ())


async def test_chain_goes_on_at_a_restored_head(on_redis):
    one, other = on_redis.audits[:2]
    entries = await append(one, *range(3))
    end = await one.head()
    for key in await on_redis.redis.keys():
        await on_redis.redis.client.delete(key)
    assert (await other.head()).chain != end.chain
    await other.restore(end)
    entries += await append(one, *range(3, 6))
    assert whole(entries, 6)


async def test_everything_expires(on_redis):
    await append(on_redis.audits[0], *range(3))
    await on_redis.commands[0].put_if_absent(SENT, b"plan")
    await on_redis.commands[0].replace(SENT, b"answer")
    await on_redis.commands[0].replace(CommandKey(None, "c-2"), b"answer")
    keys = await on_redis.redis.keys()
    assert len(keys) == 6
    for key in keys:
        most = HEAD_TTL_S if key == on_redis.head_key else ENTRY_TTL_S
        assert most - 120 < await on_redis.redis.client.ttl(key) <= most


async def test_looking_prolongs_the_head(on_redis):
    await on_redis.audits[0].head()
    await on_redis.redis.client.expire(on_redis.head_key, 60)
    await on_redis.audits[1].head()
    assert await on_redis.redis.client.ttl(on_redis.head_key) > HEAD_TTL_S - 120


@pytest.mark.parametrize("value", [b"text", b"7", b"[]", b"{}", b"\xff"])
async def test_foreign_value_is_named(on_redis, value):
    log = on_redis.audits[0]
    await on_redis.redis.client.set(on_redis.head_key, value)
    with pytest.raises(ForeignValue, match="audit-head"):
        await log.head()
    await on_redis.redis.client.set(on_redis.redis.key("abuse:audit:{one 1}"), value)
    with pytest.raises(ForeignValue, match="audit:"):
        await log.append(entry_of(1), Head(chain="one"))


async def test_first_text_of_a_command_is_kept(logs):
    one, other = logs.commands[:2]
    assert await one.find(SENT) is None
    kept = await asyncio.gather(*(log.put_if_absent(SENT, b"%d" % n) for n, log in enumerate(logs.commands)))
    (text,) = set(kept)
    assert await other.find(SENT) == text
    await one.replace(SENT, b"answer")
    assert await other.put_if_absent(SENT, b"another") == b"answer"
    assert await other.find(CommandKey(None, "c-2")) is None


APART = [
    *(CommandKey(tenant, "c-1") for tenant in (None, "bank-1", "bank-2")),
    *(CommandKey("a", "b c"), CommandKey("a b", "c"), CommandKey(None, "a b c"), CommandKey('a","b', "c")),
    *(CommandKey(None, name) for name in ("c", "C", "c}", "{c}", "c:1", "*", "c" * 128, "!~")),
]


async def test_commands_of_any_tenant_and_id_are_apart(logs):
    one, other = logs.commands[:2]
    texts = [b"%d" % number + bytes(range(256)) for number in range(len(APART))]
    for key, text in zip(APART, texts, strict=True):
        assert await one.find(key) is None
        assert await one.put_if_absent(key, text) == text
    await one.replace(APART[1], b"answer")
    assert [await other.find(key) for key in APART] == [texts[0], b"answer", *texts[2:]]


async def test_prefixes_keep_installations_apart(on_redis):
    await append(on_redis.audits[0], 1)
    other = RedisAuditLog(on_redis.redis.connect(), on_redis.redis.key("other:"))
    assert (await other.head()).number == 0
