"""Limits of the abuse rules: their published defaults, combinations that can't work, switches at run time."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from abuse.ledger.journal import KEPT, SHARDS
from abuse.links.links import MOST_MEMBERS
from abuse.rules import RULES
from config.limits.abuse import DAY_S, MOST_COUNTED, MOST_IN_CLUSTER, RULE_NAMES, AbusePolicy, RetryLimits


def test_the_default_lockout():
    limits = AbusePolicy().excessive_retries
    assert (limits.failures, limits.failure_window_s) == (5, 3 * 60)
    assert (limits.attempts, limits.attempt_window_s) == (10, 60 * 60)
    assert (limits.pause_s, limits.pauses, limits.pause_window_s) == (30 * 60, 3, DAY_S)


def test_by_default_only_retries_refuse_anybody():
    policy = AbusePolicy()
    assert [name for name in RULE_NAMES if getattr(policy, name).enforced] == ["excessive_retries"]
    assert all(getattr(policy, name).active for name in RULE_NAMES)


def test_every_rule_has_limits_and_all_limits_have_a_rule():
    assert set(RULE_NAMES) == set(RULES)
    assert [name for name, rule in RULES.items() if rule.kind is not None and rule.kind != name] == []


ILLEGAL = {
    "a block of less than a day": {"excessive_retries": {"block_s": DAY_S - 1}},
    "a pause of more than a day": {"excessive_retries": {"pause_s": DAY_S + 1}},
    "a block longer than flags live": {"excessive_retries": {"block_s": 31 * DAY_S}},
    "one pause is a block": {"excessive_retries": {"pauses": 1}},
    "no failures": {"excessive_retries": {"failures": 0}},
    "a window of nothing": {"attack_frequency": {"window_s": 0}},
    "a window beyond the journals": {"attack_frequency": {"window_s": DAY_S + 1}},
    "one id is many": {"many_ids_on_address": {"ids": 1}},
    "no severity": {"attack_severity": {"severity": 0}},
    "a share above one": {"shared_address": {"spoof_ratio": 1.1}},
    "points above the scale": {"listed_network": {"points": {"tor": 101}}},
    "points below the scale": {"listed_network": {"points": {"tor": -1}}},
    "risk above the scale": {"risk": {"spoof_ratio": 101}},
    "flags of less than a day": {"flag_ttl_s": DAY_S - 1},
    "an unknown rule": {"bad_hair": {}},
    "an unknown limit": {"excessive_retries": {"tries": 5}},
    "a word for a switch": {"excessive_retries": {"active": "perhaps"}},
    "not a number": {"attack_severity": {"severity": float("nan")}},
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_limits_that_can_not_work_are_refused(name):
    with pytest.raises(ValidationError):
        AbusePolicy.model_validate(ILLEGAL[name])


#: Every count that a rule's limits have, and the most that can be asked for.
COUNTS = [
    (name, field, MOST_IN_CLUSTER if name in ("constant_id", "face_reuse", "media_replay") else MOST_COUNTED)
    for name in RULE_NAMES
    for field, value in getattr(AbusePolicy(), name)
    if type(value) is int and not field.endswith("_s") and field not in ("pauses", "bits") and name != "listed_network"
]


@pytest.mark.parametrize(("rule", "limit", "most"), COUNTS)
def test_limit_beyond_reach_refused(rule, limit, most):
    """A limit that no journal or cluster reaches would silently switch the rule off."""
    assert AbusePolicy.model_validate({rule: {limit: most}})
    assert MOST_IN_CLUSTER < MOST_MEMBERS
    with pytest.raises(ValidationError):
        AbusePolicy.model_validate({rule: {limit: most + 1}})


def test_every_journal_keeps_as_much_as_a_limit_may_ask_for():
    """Where it is split, with room for parts that fill unevenly."""
    for kind, kept in KEPT.items():
        shards = SHARDS.get(kind, 1)
        assert kept * shards >= MOST_COUNTED * (1 if shards == 1 else 2)


def test_a_switch_changes_its_rule_and_nothing_else():
    policy = AbusePolicy()
    switched = policy.switched({"excessive_retries": {"enforced": False}, "attack_frequency": {"active": False}})
    assert switched.excessive_retries == RetryLimits(enforced=False)
    assert (switched.attack_frequency.active, switched.attack_frequency.enforced) == (False, False)
    unchanged = {"excessive_retries", "attack_frequency"}
    assert switched.model_dump(exclude=unchanged) == policy.model_dump(exclude=unchanged)
    assert policy == AbusePolicy()
    assert policy.switched({}) == policy
