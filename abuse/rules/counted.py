"""Findings of rules on too many attempts of some kind by one correlation id."""

from __future__ import annotations

from collections.abc import Callable

from abuse.flags.flags import FlagKind, RuleFinding
from abuse.ledger.journal import Attempt
from abuse.ledger.windows import keep
from abuse.rules.base import Case, Count, over_limit
from abuse.subjects import SubjectType, correlation


def too_many(kind: FlagKind, case: Case, counts: Callable[[Attempt], bool], count: Count) -> tuple[RuleFinding, ...]:
    """Findings about the correlation id of the case; of its attempts those that `counts` picks are counted.

    Whether the observation itself gives reason to look is for the rule to say, before it asks.
    """
    attempts = keep(case.attempts(SubjectType.CORRELATION_ID), counts)
    return over_limit(kind, correlation(case.observation.correlation_id), case.observation.at_ms, attempts, count)
