"""The abuse table on Redis, one server or a cluster.

No scripts: every command adds to a set what names itself, and is the same whether sent once or twice, early or late.
Each touches one key, so they go out together wherever the keys live. Everything expires.

    journal:{TENANT|TYPE|KEY|PART}    sorted set: attempt lines by event time, the newest kept (`abuse.ledger.journal`)
    flags:{TENANT|TYPE|KEY}           hash: event name -> cause and document
    flag:{FLAG_ID}                    whose flag it is
    due:{N}                           sorted set: flags by when to look at them next, in sixteen parts
    flag-index:{TENANT|SEVERITY|SIDE} sorted set: flags by time, side open or over; TENANT is * for all
    used:{TENANT|CORRELATION_ID}      sorted set: devices, addresses and prefixes whose journals have lines of it
    named:{TENANT|CORRELATION_ID}     set: other subjects whose flags name it as evidence
    erased:{FLAG_ID}                  for some minutes after the flag was erased
    switches:{TENANT}                 what a settings event switched
    turn                              which worker looks for expired flags
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from abuse.event_time import DAY_MS
from abuse.flags.flag_events import Fields, cause_of, document_of, field_of, stored, superseded
from abuse.flags.flag_heads import HeadMemory, head_of, heads
from abuse.flags.flags import Flag, FlagEvent
from abuse.flags.mentions import linked_ids
from abuse.ledger.flag_index import ALL_TENANTS, Listing, Position, Selection
from abuse.ledger.journal import KEPT, USED_MS, attempt_of, keeps_oldest, life_ms, line_of, part_of, reach_ms
from abuse.ledger.ledger import (
    SENDERS_COUNTED,
    SESSIONS,
    Locator,
    Snapshot,
    SubjectHistory,
    Switches,
    as_stored,
    own_events,
)
from abuse.ledger.redis_flag_index import RedisFlagIndex, removals
from abuse.ledger.redis_ledger_keys import DUE_PARTS, SWITCHES_TTL_S, LedgerKeys, flags_life_ms, member_of
from abuse.ledger.redis_ledger_replies import flag_history_in, flags_in, history_in, locator_in, senders_in
from abuse.observation import Observation
from abuse.redis_port import Command, RedisClient, Reply, earliest, fields_of, reading, texts_of
from abuse.subjects import Subject, SubjectType


class RedisLedger:
    def __init__(self, calls: RedisClient, key_prefix: str, flag_ttl_s: int) -> None:
        self._calls = calls
        self._keys = LedgerKeys(key_prefix)
        self._flags_ttl_ms = flags_life_ms(flag_ttl_s)
        self._index = RedisFlagIndex(calls, self._keys, self._flags_ttl_ms)
        self._memory = HeadMemory()

    async def read_history(self, tenant: str | None, subjects: Sequence[Subject]) -> Snapshot:
        keys = [key for subject in subjects for key in self._keys.all_flags(tenant, subject)]
        *tables, switches = await self._calls.execute([*(("HGETALL", key) for key in keys), self._get_switches(tenant)])
        read = iter(zip(keys, tables, strict=True))
        histories = tuple(history_in(s, [], [next(read) for _ in s.keys], None) for s in subjects)
        return Snapshot(histories=histories, switches=self._switches(tenant, switches))

    async def read_heads(self, tenant: str | None, subjects: Sequence[Subject], cause: str | None = None) -> Snapshot:
        keys = [key for subject in subjects for key in self._keys.all_flags(tenant, subject)]
        *names, switches = await self._calls.execute([*(("HKEYS", key) for key in keys), self._get_switches(tenant)])
        tables = await self._heads(zip(keys, names, strict=True), cause)
        histories = tuple(flag_history_in(subject, [next(tables) for _ in subject.keys]) for subject in subjects)
        return Snapshot(histories=histories, switches=self._switches(tenant, switches))

    async def observe(self, observation: Observation) -> Snapshot:
        tenant, subjects, at_ms = observation.tenant, observation.subjects, observation.at_ms
        writes = self._writes(observation)
        reads = [self._read_journals(tenant, s, at_ms - reach_ms(s.type)) for s in subjects]
        flags = [key for subject in subjects for key in self._keys.all_flags(tenant, subject)]
        used = self._keys.used(tenant, observation.correlation_id)
        newest: Command = ("BYSCORE", "REV", "LIMIT", 0, SENDERS_COUNTED, "WITHSCORES")
        senders: Command = ("ZRANGE", used, "+inf", at_ms - DAY_MS, *newest)
        names: list[Command] = [("HKEYS", key) for key in flags]
        commands = [*writes, *(c for read in reads for c in read), *names, senders, self._get_switches(tenant)]
        *replies, use, switches = await self._calls.execute(commands)
        answers = iter(replies[len(writes) :])
        journals = [[(str(command[1]), next(answers)) for command in read] for read in reads]
        tables = await self._heads(zip(flags, answers, strict=True), observation.submission_id)
        histories = tuple(
            history_in(subject, lines, [next(tables) for _ in subject.keys], at_ms)
            for subject, lines in zip(subjects, journals, strict=True)
        )
        counted = senders_in(used, use, histories[0].cleared_at_ms)
        return Snapshot(histories=histories, switches=self._switches(tenant, switches), senders=counted)

    async def _heads(self, named: Iterable[tuple[str, Reply]], cause: str | None) -> Iterator[tuple[str, Fields]]:
        """Each key of flags with the heads of its events, whose names were read; those that `cause` brought about
        whole. Usually all heads are remembered; else one round trip for those that aren't."""
        tables = [(key, self._remembered(key, reply)) for key, reply in named]
        wanted = {
            key: names
            for key, table in tables
            if (names := [name for name, text in table.items() if text is None or cause_of(text) == cause])
        }
        if not wanted:
            return iter([(key, cast(Fields, table)) for key, table in tables])
        replies = iter(
            await self._calls.execute([("HGET", key, name) for key, names in wanted.items() for name in names])
        )
        read = {
            key: self._remember(key, {name: next(replies) for name in names}, cause) for key, names in wanted.items()
        }
        whole: dict[str, Mapping[str, str | None]] = {key: {**table, **read.get(key, {})} for key, table in tables}
        # What took the place of an event that went between the two has a name of its own: the later clearing, for one.
        changed = [key for key, table in whole.items() if None in table.values()]
        again = await self._calls.execute([("HGETALL", key) for key in changed])
        whole |= {key: self._heads_in(key, reply, cause) for key, reply in zip(changed, again, strict=True)}
        return iter([(key, {n: t for n, t in whole[key].items() if t is not None}) for key, _ in tables])

    @staticmethod
    def _heads_in(key: str, table: Reply, cause: str | None) -> Fields:
        with reading(key):
            return heads(fields_of(table), cause)

    def _remembered(self, key: str, names: Reply) -> dict[str, str | None]:
        if not names:
            return {}
        with reading(key):
            return self._memory.get_all(key, texts_of(names))

    def _remember(self, key: str, texts: Mapping[str, Reply], cause: str | None) -> dict[str, str | None]:
        """The texts of these events; None for one that went meanwhile."""
        with reading(key):
            found = {name: cast(bytes, text).decode() for name, text in texts.items() if text is not None}
            for name, text in found.items():
                self._memory.put(key, name, head_of(text))
            return {**dict.fromkeys(texts), **heads(found, cause)}

    async def record_all(self, observations: Sequence[Observation]) -> None:
        await self._calls.execute([command for each in observations for command in self._writes(each)])

    async def history(self, tenant: str | None, subject: Subject) -> SubjectHistory:
        tables: list[Command] = [("HGETALL", key) for key in self._keys.all_flags(tenant, subject)]
        commands = [*self._read_journals(tenant, subject, 0), *tables]
        replies = await self._calls.execute(commands)
        read = [(str(command[1]), reply) for command, reply in zip(commands, replies, strict=True)]
        return history_in(subject, read[: -len(tables)], read[-len(tables) :], None)

    async def record(self, events: Sequence[FlagEvent]) -> list[FlagEvent]:
        if not events:
            return []
        offers: list[Command] = [
            ("HSETNX", self._keys.flags(event.tenant, event.subject), field_of(event), stored(event))
            for event in events
        ]
        replies = await self._calls.execute([*offers, *self._traces(events), *self._index.writes(events)])
        # An event that nobody stored before is stored as offered; the others are read.
        held = [offer for offer, was_new in zip(offers, replies, strict=False) if not was_new]
        read = await self._calls.execute([("HGET", key, field) for _, key, field, _ in held])
        earlier = {offer[1:3]: cast(bytes, reply).decode() for offer, reply in zip(held, read, strict=True) if reply}
        texts = [earlier.get(offer[1:3], str(offer[3])) for offer in offers]
        for (_, key, field, _), text in zip(offers, texts, strict=True):
            self._memory.put(str(key), str(field), head_of(text))
        if not held:
            return [*events]
        await self._index_as_stored(events, as_stored(events, texts))
        return own_events(events, texts)

    def _traces(self, events: Sequence[FlagEvent]) -> list[Command]:
        """Commands that lead to the events: whose each flag is, when to look at the flag next, and whose flags name a
        correlation id. One command a key, since flags of one cluster share nearly all."""
        owners = {event.flag_id: _locator(event) for event in events}
        due: dict[str, dict[str, int]] = {}
        mentioned: dict[tuple[str | None, str], dict[str, None]] = {}
        for event in events:
            ends, member = due.setdefault(self._keys.due(event.flag_id), {}), member_of(event.subject)
            ends[event.flag_id] = max(event.expires_at_ms, ends.get(event.flag_id, 0))
            for name in self._mentioned(event):
                mentioned.setdefault((event.tenant, name), {})[member] = None
        named = {self._keys.named(*whose): members for whose, members in mentioned.items()}
        tables = dict.fromkeys(self._keys.flags(event.tenant, event.subject) for event in events)
        return [
            *(("SET", self._keys.flag(name), owner, "PX", self._flags_ttl_ms) for name, owner in owners.items()),
            *(("ZADD", key, "GT", *_scored(ends)) for key, ends in due.items()),
            *(("SADD", key, *members) for key, members in named.items()),
            *(("PEXPIRE", key, self._flags_ttl_ms) for key in (*tables, *due, *named)),
        ]

    async def _index_as_stored(self, events: Sequence[FlagEvent], stored: Sequence[FlagEvent]) -> None:
        """Usually nothing: only a race of two causes leaves anything to do."""
        races = [pair for pair in zip(events, stored, strict=True) if pair[0].document != pair[1].document]
        with reading(self._keys.flags(events[0].tenant, events[0].subject)):
            commands = [command for pair in races for command in self._index.corrections(*pair)]
        if commands:
            await self._calls.execute(commands)

    async def clear(self, tenant: str | None, subject: Subject, name: str, text: str) -> None:
        key = self._keys.flags(tenant, subject)
        *_, table = await self._calls.execute(
            [("HSET", key, name, text), ("PEXPIRE", key, self._flags_ttl_ms), ("HGETALL", key)]
        )
        older = superseded(fields_of(table), name, text)
        if older:
            await self._calls.execute([("HDEL", key, *older)])

    async def locate(self, flag_id: str) -> Locator | None:
        key = self._keys.flag(flag_id)
        (held,) = await self._calls.execute([("GET", key)])
        return None if held is None else locator_in(held, key)

    async def due(self, until_ms: int, most: int) -> list[str]:
        commands: list[Command] = [
            ("ZRANGE", self._keys.due_part(n), "-inf", until_ms, "BYSCORE", "LIMIT", 0, most, "WITHSCORES")
            for n in range(DUE_PARTS)
        ]
        return earliest(await self._calls.execute(commands), most)

    async def later(self, flag_id: str, at_ms: int) -> None:
        key = self._keys.due(flag_id)
        await self._calls.execute([("ZADD", key, at_ms, flag_id), ("PEXPIRE", key, self._flags_ttl_ms)])

    async def forget(self, flag_id: str) -> None:
        """Remove a flag's traces; the key that leads to the others goes last."""
        locator = await self.locate(flag_id)
        tenant = ALL_TENANTS if locator is None else locator.tenant
        commands = removals(self._keys, tenant, [flag_id])
        unnamed: list[Command] = []
        if locator is not None:
            key = self._keys.flags(locator.tenant, locator.subject)
            (table,) = await self._calls.execute([("HGETALL", key)])
            fields = fields_of(table)
            gone = {name: text for name, text in fields.items() if name.startswith(f"{flag_id} ")}
            if gone:
                left = {name: text for name, text in fields.items() if name not in gone}
                names, member = sorted(_evidence(gone) - _evidence(left)), member_of(locator.subject)
                commands.append(("HDEL", key, *gone))
                unnamed = [("SREM", self._keys.named(locator.tenant, name), member) for name in names]
        await self._calls.execute(commands)
        if unnamed:
            await self._calls.execute(unnamed)
        await self._calls.execute([("DEL", self._keys.flag(flag_id)), ("ZREM", self._keys.due(flag_id), flag_id)])

    async def was_erased(self, flag_id: str) -> bool:
        (held,) = await self._calls.execute([("GET", self._keys.erased(flag_id))])
        return held is not None

    async def listed(self, selection: Selection, after: Position | None, most: int) -> Listing:
        return await self._index.listed(selection, after, most)

    async def read_flags(self, flag_ids: Sequence[str]) -> Mapping[str, Flag]:
        keys = [self._keys.flag(flag_id) for flag_id in flag_ids]
        if not keys:
            return {}
        held = zip(keys, await self._calls.execute([("GET", key) for key in keys]), strict=True)
        located = [locator_in(reply, key) for key, reply in held if reply is not None]
        tables = sorted({self._keys.flags(each.tenant, each.subject) for each in located})
        replies = await self._calls.execute([("HGETALL", key) for key in tables]) if tables else []
        read = zip(tables, replies, strict=True)
        return {flag.flag_id: flag for key, reply in read for flag in flags_in(key, reply, set(flag_ids))}

    async def take_turn(self, name: str, for_ms: int) -> bool:
        key = self._keys.turn
        (held,) = await self._calls.execute([("SET", key, name, "NX", "GET", "PX", for_ms)])
        if held is None:
            return True
        if held != name.encode():
            return False
        await self._calls.execute([("SET", key, name, "PX", for_ms)])
        return True

    async def switches(self, tenant: str | None) -> Switches:
        (held,) = await self._calls.execute([self._get_switches(tenant)])
        return self._switches(tenant, held)

    async def switch(self, tenant: str | None, switches: Switches) -> None:
        text = orjson.dumps(switches, option=orjson.OPT_SORT_KEYS)
        await self._calls.execute([("SET", self._keys.switches(tenant), text, "EX", SWITCHES_TTL_S)])

    def _writes(self, observation: Observation) -> list[Command]:
        line, commands = line_of(attempt_of(observation)), list[Command]()
        for subject in observation.subjects:
            kind = subject.type
            part = part_of(kind, observation)
            key = self._keys.journal(observation.tenant, subject, part)
            commands.append(("ZADD", key, observation.at_ms, line))
            commands.append(("ZREMRANGEBYSCORE", key, "-inf", f"({observation.at_ms - life_ms(kind)}"))
            if keeps_oldest(kind, part):
                commands.append(("ZREMRANGEBYRANK", key, KEPT[kind], -1))
            else:
                commands.append(("ZREMRANGEBYRANK", key, 0, -KEPT[kind] - 1))
            commands.append(("PEXPIRE", key, life_ms(kind)))
        return [*commands, *self._uses(observation)]

    def _uses(self, observation: Observation) -> list[Command]:
        """Commands that remember the other subjects whose journals have lines of the correlation id."""
        if not observation.origin.subjects:
            return []
        key = self._keys.used(observation.tenant, observation.correlation_id)
        members = [part for each in observation.origin.subjects for part in (observation.at_ms, member_of(each))]
        return [
            ("ZADD", key, "GT", *members),
            ("ZREMRANGEBYSCORE", key, "-inf", f"({observation.at_ms - USED_MS}"),
            ("PEXPIRE", key, USED_MS),
        ]

    @staticmethod
    def _mentioned(event: FlagEvent) -> list[str]:
        """Correlation ids under which the flag's subject is remembered: those that the evidence names."""
        own = event.subject.key if event.subject.type is SubjectType.CORRELATION_ID else None
        return [name for name in linked_ids(event.document) if name != own]

    def _read_journals(self, tenant: str | None, subject: Subject, after_ms: int) -> list[Command]:
        return [("ZRANGE", key, after_ms, "+inf", "BYSCORE") for key in self._keys.journals(tenant, subject)]

    def _switches(self, tenant: str | None, held: Reply) -> Switches:
        if held is None:
            return {}
        with reading(self._keys.switches(tenant)):
            switches = orjson.loads(cast(bytes, held))
            return {rule: _of_rule(rule, each) for rule, each in switches.items()}

    def _get_switches(self, tenant: str | None) -> Command:
        return ("GETEX", self._keys.switches(tenant), "EX", SWITCHES_TTL_S)


def _scored(members: Mapping[str, int]) -> list[str | int]:
    """Scores and members, as ZADD takes them."""
    return [part for name, at_ms in members.items() for part in (at_ms, name)]


def _evidence(fields: Mapping[str, str]) -> set[str]:
    """Correlation ids that these events of flags name."""
    texts = (text for name, text in fields.items() if name.startswith("fl_"))
    return {name for text in texts for name in linked_ids(document_of(text))}


def _locator(event: FlagEvent) -> bytes:
    return orjson.dumps([event.tenant, event.subject.type, event.subject.key])


def _of_rule(rule: str, switches: Mapping[str, Any]) -> dict[str, Any]:
    """Switches of a rule, or defaults of sessions: whether a token is required is on or off as well."""
    for switch, on in switches.items():
        if not isinstance(on, bool) and (rule != SESSIONS or switch == "required"):
            raise TypeError("a switch is on or off")
    return dict(switches)
