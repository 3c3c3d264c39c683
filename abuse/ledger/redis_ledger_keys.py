"""Where the abuse table keeps what on Redis: one place for those who write it and those who erase it."""

from __future__ import annotations

from abuse.ledger.flag_index import ALL_TENANTS, Place
from abuse.subjects import Subject, SubjectType

DUE_PARTS = 16


class LedgerKeys:
    def __init__(self, key_prefix: str) -> None:
        self._prefix = f"{key_prefix}abuse:"
        self.turn = f"{self._prefix}turn"

    def journal(self, tenant: str | None, kind: SubjectType, key: str, part: int) -> str:
        return f"{self._prefix}journal:{{{tenant or ''}|{kind}|{key}|{part}}}"

    def flags(self, tenant: str | None, kind: SubjectType, key: str) -> str:
        return f"{self._prefix}flags:{{{tenant or ''}|{kind}|{key}}}"

    def flag(self, flag_id: str) -> str:
        return f"{self._prefix}flag:{{{flag_id}}}"

    def erased(self, flag_id: str) -> str:
        return f"{self._prefix}erased:{{{flag_id}}}"

    def used(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}used:{{{tenant or ''}|{correlation_id}}}"

    def named(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}named:{{{tenant or ''}|{correlation_id}}}"

    def due(self, flag_id: str) -> str:
        return self.due_part(int(flag_id[-1], DUE_PARTS))

    def due_part(self, number: int) -> str:
        return f"{self._prefix}due:{{{number}}}"

    def flag_index(self, place: Place) -> str:
        scope = place.scope.value if place.scope is ALL_TENANTS else place.scope or ""
        return f"{self._prefix}flag-index:{{{scope}|{place.severity}|{place.side}}}"

    def switches(self, tenant: str | None) -> str:
        return f"{self._prefix}switches:{{{tenant or ''}|}}"


def member_of(subject: Subject) -> str:
    """A subject in a set of subjects, by its newest key."""
    return f"{subject.type} {subject.key}"


def subject_of(member: str) -> Subject:
    """The inverse; raises ValueError for what is none of ours."""
    kind, _, key = member.partition(" ")
    return Subject(type=SubjectType(kind), key=key)
