"""The store of large clusters on Redis.

    cluster:{TENANT|NAME}                HyperLogLog: how many members, without their ids
    cluster-lead:{TENANT|NAME}           the lead's reference
    clusters-of:{TENANT|CORRELATION_ID}  hash: a submission's hint -> which submission, and the cluster's name; and the
                                         names of the clusters that the id leads

A cluster lives as long as links do from the day it was made: one that still grows then is read and made again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

import orjson

from abuse.links.large_clusters import FoundedCluster, Member, Shown
from abuse.links.links import links_life_ms
from abuse.redis_port import Command, RedisClient, Reply, fields_of, reading
from abuse.store_record import Personal, StoreRecord
from abuse.submission_ref import SubmissionRef, submission_ref_from

_LEADS = "leads "
#: Clusters whose leads are read along, of each tenant: by face and by picture, attacks and others.
MOST_MET, TENANTS_REMEMBERED = 4, 1024
RECORDS = (
    StoreRecord(
        name="abuse:cluster",
        holds="how many share one face or picture, without their ids",
        personal=Personal.NONE,
        life_ms=lambda settings, policy: links_life_ms(policy),
        after="it became large",
    ),
    StoreRecord(
        name="abuse:cluster-lead",
        holds="the first submission of a large cluster",
        life_ms=lambda settings, policy: links_life_ms(policy),
        after="it became large",
    ),
    StoreRecord(
        name="abuse:clusters-of",
        holds="large clusters that a correlation id is a member of",
        life_ms=lambda settings, policy: links_life_ms(policy),
        after="the last submission in one",
    ),
)


class RedisLargeClusters:
    """`ttl_ms`: retention of a cluster from when it was made, and of hints after the last."""

    def __init__(self, calls: RedisClient, key_prefix: str, ttl_ms: int) -> None:
        self._calls = calls
        self._prefix = f"{key_prefix}abuse:"
        self._ttl_ms = ttl_ms
        #: Tenant -> the clusters joined last, by name, with the lead's correlation id.
        self._met: OrderedDict[str, dict[str, str]] = OrderedDict()

    async def members(self, tenant: str | None, refs: Sequence[tuple[Shown, SubmissionRef]]) -> list[Member | None]:
        if not refs:
            return []
        hints: list[Command] = [("HGET", self._of(tenant, ref), shown.hint(ref)) for shown, ref in refs]
        met = [*self._met.get(tenant or "", ())]
        replies = await self._calls.execute([*hints, *self._get_leads(tenant, met)])
        hinted = zip(refs, hints, replies, strict=False)
        names = [_hinted(str(command[1]), ref, reply) for (_, ref), command, reply in hinted]
        leads = self._leads(tenant, met, replies[len(hints) :])
        others = [name for name in dict.fromkeys(names) if name is not None and name not in met]
        leads |= self._leads(tenant, others, await self._calls.execute(self._get_leads(tenant, others)))
        return [
            Member(ref=ref, name=name, lead=leads[name]) if name in leads else None
            for (_, ref), name in zip(refs, names, strict=True)
        ]

    def leads_met(self, tenant: str | None) -> Collection[str]:
        return {*self._met.get(tenant or "", {}).values()}

    def _get_leads(self, tenant: str | None, names: Iterable[str]) -> list[Command]:
        return [("GET", self._key("cluster-lead", tenant, name)) for name in names]

    def _leads(self, tenant: str | None, names: Sequence[str], replies: Sequence[Reply]) -> dict[str, SubmissionRef]:
        """Leads that the store names, which are met then."""
        keys = (self._key("cluster-lead", tenant, name) for name in names)
        read = zip(names, keys, replies, strict=True)
        leads = {name: _ref_from(key, reply) for name, key, reply in read if reply is not None}
        if leads:
            before = self._met.pop(tenant or "", {})
            met = {**{name: ref.correlation_id for name, ref in leads.items()}, **before}
            self._met[tenant or ""] = dict(list(met.items())[:MOST_MET])
            if len(self._met) > TENANTS_REMEMBERED:
                self._met.popitem(last=False)
        return leads

    async def join(self, tenant: str | None, own: SubmissionRef, names: Mapping[Shown, str]) -> dict[Shown, int]:
        writes = [command for shown, name in names.items() for command in self._adding(tenant, shown, name, [own])]
        counts: list[Command] = [("PFCOUNT", self._key("cluster", tenant, name)) for name in names.values()]
        replies = await self._calls.execute([*writes, *counts])
        return dict(zip(names, cast("list[int]", replies[len(writes) :]), strict=True))

    async def create(self, tenant: str | None, made: FoundedCluster) -> None:
        packed = orjson.dumps(list(made.lead.ref_fields.values()))
        await self._calls.execute(
            [
                ("SET", self._key("cluster-lead", tenant, made.name), packed, "NX", "PX", self._ttl_ms),
                ("HSET", self._of(tenant, made.lead), f"{_LEADS}{made.name}", made.name),
                *self._adding(tenant, made.shown, made.name, made.refs),
            ]
        )

    async def forget(self, tenant: str | None, correlation_id: str) -> None:
        own = self._key("clusters-of", tenant, correlation_id)
        (table,) = await self._calls.execute([("HGETALL", own)])
        with reading(own):
            led = [name for field, name in fields_of(table).items() if field.startswith(_LEADS)]
        # On a cluster the parts of one round trip come in no order: the index to the others goes last.
        await self._calls.execute([("DEL", self._key("cluster-lead", tenant, name)) for name in led])
        await self._calls.execute([("DEL", own)])

    def _adding(self, tenant: str | None, shown: Shown, name: str, refs: Iterable[SubmissionRef]) -> list[Command]:
        """Commands that count these submissions, and leave each one's hint."""
        size, commands = self._key("cluster", tenant, name), list[Command]()
        for ref in refs:
            of = self._of(tenant, ref)
            commands += [("HSET", of, shown.hint(ref), f"{_digest(ref)} {name}"), ("PEXPIRE", of, self._ttl_ms)]
        members = sorted(set(map(shown.member, refs)))
        return [("PFADD", size, *members), ("PEXPIRE", size, self._ttl_ms, "NX"), *commands]

    def _of(self, tenant: str | None, ref: SubmissionRef) -> str:
        return self._key("clusters-of", tenant, ref.correlation_id)

    def _key(self, record: str, tenant: str | None, name: str) -> str:
        return f"{self._prefix}{record}:{{{tenant or ''}|{name}}}"


def _digest(ref: SubmissionRef) -> str:
    return hashlib.sha256(orjson.dumps(ref.key)).hexdigest()[:16]


def _hinted(key: str, ref: SubmissionRef, reply: Reply) -> str | None:
    """The cluster's name in a hint of this very submission."""
    if reply is None:
        return None
    with reading(key):
        whose, name = cast(bytes, reply).decode().split(" ")
        return name if whose == _digest(ref) else None


def _ref_from(key: str, reply: Reply) -> SubmissionRef:
    with reading(key):
        return submission_ref_from(*orjson.loads(cast(bytes, reply)))
