"""Replies to the ledger's commands as values: histories, flags, where a flag is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

import orjson

from abuse.flags.flag_events import Fields, flags_from
from abuse.flags.flags import Flag
from abuse.ledger.ledger import Locator, SubjectHistory, history_of
from abuse.ledger.redis_ledger_keys import subject_of
from abuse.redis_port import FOREIGN, ForeignValue, Reply, fields_of, reading, texts_of
from abuse.subjects import Subject, SubjectType


def senders_in(key: str, used: Reply, cleared_at_ms: int) -> Counter[SubjectType]:
    """Senders by type, of those used since a reviewer cleared the correlation id. Raises ForeignValue."""
    with reading(key):
        return Counter(subject_of(member).type for member, at in fields_of(used).items() if int(at) > cleared_at_ms)


def locator_in(held: Reply, key: str) -> Locator:
    """Owner of a flag, from the value kept under its id. Raises ForeignValue."""
    with reading(key):
        tenant, kind, name = orjson.loads(cast(bytes, held))
        return Locator(tenant=tenant, subject=Subject(type=SubjectType(kind), key=name))


def flags_in(key: str, table: Reply, wanted: set[str]) -> tuple[Flag, ...]:
    """A subject's flags whose ids are wanted. Raises ForeignValue."""
    with reading(key):
        return flags_from({name: text for name, text in fields_of(table).items() if name.partition(" ")[0] in wanted})


#: Replies by key, and of flags also what was made of one.
_Read = Sequence[tuple[str, Reply | Fields]]


def history_in(subject: Subject, journals: _Read, tables: _Read, at_ms: int | None) -> SubjectHistory:
    """The history of a subject, from its journals and flags by key. Raises ForeignValue, which names the first key that
    can't be read."""
    try:
        return _read(subject, journals, tables, at_ms)
    except FOREIGN as error:
        raise ForeignValue(_culprit(subject, journals, tables)) from error


def flag_history_in(subject: Subject, tables: Sequence[tuple[str, Fields]]) -> SubjectHistory:
    """The history of a subject's flags alone: of a field under several keys, the newest key's, which is the first.
    Raises ForeignValue."""
    fields: dict[str, str] = {}
    for _, table in reversed(tables):
        fields |= table
    with reading(tables[0][0]):
        return SubjectHistory(subject=subject, fields=fields)


def _read(subject: Subject, journals: _Read, tables: _Read, at_ms: int | None) -> SubjectHistory:
    """The history of a subject with several keys: of a field under several, the newest key's, which is the first."""
    fields: dict[str, str] = {}
    for _, table in reversed(tables):
        fields |= table if isinstance(table, Mapping) else fields_of(table)
    lines = [line for _, journal in journals for line in texts_of(cast(Reply, journal))]
    return history_of(subject, lines, fields, at_ms=at_ms)


def _culprit(subject: Subject, journals: _Read, tables: _Read) -> str:
    """The first key that can't be read even on its own."""
    for read in [*(([each], []) for each in journals), *(([], [each]) for each in tables)]:
        try:
            _read(subject, *read, None)
        except FOREIGN:
            return [*read[0], *read[1]][0][0]
    return tables[0][0]
