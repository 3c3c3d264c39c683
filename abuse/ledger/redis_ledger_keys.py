"""The ledger's keys on Redis and their store records: one place for writing, reading and erasing."""

from __future__ import annotations

from functools import partial

from abuse.event_time import MS
from abuse.ledger.expiry import turn_ms
from abuse.ledger.flag_index import ALL_TENANTS, IndexPlace
from abuse.ledger.journal import USED_MS, life_ms, parts
from abuse.ledger.ledger import GRACE_MS
from abuse.store_record import Erasing, Personal, RebuiltFrom, StoreRecord
from abuse.subjects import Subject, SubjectType

DUE_PARTS = 16
#: How long a writer of an erased flag's event learns of the erasure.
ERASED_TTL_MS = 600_000
SWITCHES_TTL_S = 400 * 86_400


def flags_life_ms(flag_ttl_s: int) -> int:
    """How long after its last event a flag is kept at most."""
    return flag_ttl_s * MS + 2 * GRACE_MS


_of_flags = partial(
    StoreRecord,
    life_ms=lambda settings, policy: flags_life_ms(policy.abuse.flag_ttl_s),
    after="the last event",
    rebuilt_from=(RebuiltFrom.FLAG_EVENTS,),
)
_of_decisions = partial(StoreRecord, rebuilt_from=(RebuiltFrom.DECISIONS,))
JOURNAL = _of_decisions(
    name="abuse:journal",
    holds="what a subject was seen to do, a line a submission",
    life_ms=max(life_ms(kind) for kind in SubjectType),
    after="its last line",
)
USED = _of_decisions(
    name="abuse:used",
    holds="keyed devices and addresses a correlation id used",
    life_ms=USED_MS,
    after="the last use",
)
#: Audit entries say up to when a reviewer cleared a subject.
FLAGS = _of_flags(
    name="abuse:flags", holds="events of a subject's flags", rebuilt_from=(RebuiltFrom.FLAG_EVENTS, RebuiltFrom.AUDIT)
)
FLAG = _of_flags(name="abuse:flag", holds="whose flag it is")
NAMED = _of_flags(name="abuse:named", holds="whose flags name a correlation id as evidence")
DUE = _of_flags(name="abuse:due", holds="flags by when they expire")
FLAG_INDEX = _of_flags(name="abuse:flag-index", holds="flags by tenant, severity and time")
ERASED = StoreRecord(
    name="abuse:erased",
    holds="ids of flags just erased",
    personal=Personal.NONE,
    life_ms=ERASED_TTL_MS,
    after="the erasure",
    erasing=Erasing.GUARD,
)
SWITCHES = StoreRecord(
    name="abuse:switches",
    holds="what was switched for a tenant",
    personal=Personal.NONE,
    life_ms=SWITCHES_TTL_S * MS,
    after="the last look",
    rebuilt_from=(RebuiltFrom.AUDIT,),
)
TURN = StoreRecord(
    name="abuse:turn",
    holds="which worker looks for expired flags",
    personal=Personal.NONE,
    life_ms=lambda settings, policy: turn_ms(settings.abuse.sweep_s),
    after="its last turn",
)
#: Stores about subjects, and stores about the tenant or the workers.
SUBJECT_RECORDS = (JOURNAL, USED, FLAGS, FLAG, NAMED, DUE, FLAG_INDEX, ERASED)
SHARED_RECORDS = (SWITCHES, TURN)


class LedgerKeys:
    """The keys under an installation's prefix."""

    def __init__(self, key_prefix: str) -> None:
        self._prefix = key_prefix
        self.turn = f"{key_prefix}{TURN.name}"

    def journal(self, tenant: str | None, subject: Subject, part: int) -> str:
        return JOURNAL.key(self._prefix, tenant or "", subject.type, subject.key, part)

    def journals(self, tenant: str | None, subject: Subject) -> list[str]:
        """All parts of the journals under all keys of a subject, the newest key's first."""
        kind, owner = subject.type, tenant or ""
        return [
            JOURNAL.key(self._prefix, owner, kind, key, part) for key in subject.keys for part in range(parts(kind))
        ]

    def flags(self, tenant: str | None, subject: Subject) -> str:
        return FLAGS.key(self._prefix, tenant or "", subject.type, subject.key)

    def all_flags(self, tenant: str | None, subject: Subject) -> list[str]:
        """The flags under all keys of a subject, the newest key's first."""
        return [FLAGS.key(self._prefix, tenant or "", subject.type, key) for key in subject.keys]

    def flag(self, flag_id: str) -> str:
        return FLAG.key(self._prefix, flag_id)

    def erased(self, flag_id: str) -> str:
        return ERASED.key(self._prefix, flag_id)

    def used(self, tenant: str | None, correlation_id: str) -> str:
        return USED.key(self._prefix, tenant or "", correlation_id)

    def named(self, tenant: str | None, correlation_id: str) -> str:
        return NAMED.key(self._prefix, tenant or "", correlation_id)

    def due(self, flag_id: str) -> str:
        return self.due_part(int(flag_id[-1], DUE_PARTS))

    def due_part(self, number: int) -> str:
        return DUE.key(self._prefix, number)

    def flag_index(self, place: IndexPlace) -> str:
        scope = place.scope.value if place.scope is ALL_TENANTS else place.scope or ""
        return FLAG_INDEX.key(self._prefix, scope, place.severity, place.side)

    def switches(self, tenant: str | None) -> str:
        return SWITCHES.key(self._prefix, tenant or "", "")


def member_of(subject: Subject) -> str:
    """A subject in a set of subjects, by its newest key."""
    return f"{subject.type} {subject.key}"


def subject_of(member: str) -> Subject:
    """The inverse of `member_of`; raises ValueError for a foreign member."""
    kind, _, key = member.partition(" ")
    return Subject(type=SubjectType(kind), key=key)
