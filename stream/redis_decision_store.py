"""The decision store on Redis: one `SET key value NX GET` decides the first writer.

The command may be sent again after a lost reply: the second one finds our own value, which is the same answer,
so no script and no counter is needed.
"""

from __future__ import annotations

import hashlib

import orjson

from abuse.redis_port import Calls, Command, ForeignValue, Reply
from stream.decision_store import StoredDecision, owner_key
from stream.messages import SubmissionIds

FINGERPRINT_LENGTH = 32
#: Keys a ping writes, in as many slots: on a cluster it reaches every node, and a setting that doesn't know of the
#: cluster is noticed whichever node the address names.
PROBES = 32


class RedisDecisionStore:
    def __init__(self, calls: Calls, key_prefix: str, ttl_s: int) -> None:
        self._calls = calls
        self._prefix = key_prefix
        self._ttl_s = ttl_s

    async def find(self, ids: SubmissionIds) -> StoredDecision | None:
        key = self._key(ids)
        (held,) = await self._calls.round_trip([("GET", key)])
        return None if held is None else _unpack(held, key)

    async def keep_first(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        return await self._set_if_new(self._key(ids), ours)

    async def keep_apart(self, ids: SubmissionIds, ours: StoredDecision) -> StoredDecision:
        return await self._set_if_new(f"{self._key(ids)}:other:{ours.fingerprint}", ours)

    async def ping(self) -> None:
        # A write of the kind that matters: a replica, a full server or one that is too old answers PING all the same.
        ours = StoredDecision("0" * FINGERPRINT_LENGTH, b"probe")
        keys = [f"{self._prefix}probe:{number}" for number in range(PROBES)]
        for key, held in zip(keys, await self._calls.round_trip([self._set(key, ours) for key in keys]), strict=True):
            if held is not None:
                _unpack(held, key)

    async def close(self) -> None:
        await self._calls.close()

    async def _set_if_new(self, key: str, ours: StoredDecision) -> StoredDecision:
        (held,) = await self._calls.round_trip([self._set(key, ours)])
        return ours if held is None else _unpack(held, key)

    def _set(self, key: str, ours: StoredDecision) -> Command:
        return ("SET", key, _pack(ours), "NX", "GET", "EX", self._ttl_s)

    def _key(self, ids: SubmissionIds) -> str:
        # Ids come from outside: hashed, they have one length and can't reach into another key; as JSON,
        # no tenant and id read like another tenant and id.
        digest = hashlib.sha256(orjson.dumps(owner_key(ids))).hexdigest()[:40]
        return f"{self._prefix}decision:{{{digest}}}"


def _pack(stored: StoredDecision) -> bytes:
    return stored.fingerprint.encode("ascii") + stored.decision


def _unpack(held: Reply, key: str) -> StoredDecision:
    if not isinstance(held, bytes) or len(held) <= FINGERPRINT_LENGTH or not held[:FINGERPRINT_LENGTH].isascii():
        raise ForeignValue(key)
    return StoredDecision(held[:FINGERPRINT_LENGTH].decode("ascii"), held[FINGERPRINT_LENGTH:])
