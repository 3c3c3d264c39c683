"""The chain of audit entries: what `check` finds, and what has no place in any chain."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from abuse.review.audit import (
    BEGINNING,
    Head,
    InMemoryAuditLog,
    check,
    digest,
    head_after,
    missing_end,
    require_entry,
    sealed,
)

Entries = list[dict[str, Any]]
DEEP = orjson.loads("[" * 400 + "]" * 400)


def entry_of(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "command_id": f"c-{number}",
        **dict.fromkeys(("command", "actor", "reason", "note", "tenant", "error")),
        "at": "2026-01-01T00:00:00.000Z",
        "outcome": "applied",
        "changed": {"number": number},
        **changes,
    }


def chain(length: int, name: str = "one") -> Entries:
    head, entries = Head(chain=name), []
    for number in range(1, length + 1):
        value = sealed(entry_of(number), head)
        head = head_after(value)
        entries.append(orjson.loads(value))
    return entries


def problems(entries: Entries) -> list[str]:
    return list(check(entries).problems)


def rehashed(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    changed = {**entry, **changes}
    return {**changed, "sha256": digest(changed)}


def test_a_whole_chain_has_no_problems_in_any_order_and_with_repeats():
    entries = chain(50)
    for seed in range(5):
        shuffled = [*entries, *entries[10:20]]
        random.Random(seed).shuffle(shuffled)
        checked = check(shuffled)
        assert (checked.entries, checked.chains, checked.problems) == (50, 1, ())


def test_nothing_is_a_whole_chain():
    assert check([]).problems == ()


def test_an_entry_says_its_place_and_holds_the_hash_of_the_one_before():
    first, second = chain(2)
    assert (first["chain"], first["number"], first["previous_sha256"]) == ("one", 1, BEGINNING)
    assert (second["number"], second["previous_sha256"]) == (2, first["sha256"])
    assert digest(second) == second["sha256"]


@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize("name", ["actor", "at", "outcome", "changed", "command_id", "previous_sha256"])
def test_a_changed_entry_is_found(place, name):
    entries = chain(10)
    entries[place] = {**entries[place], name: "other"}
    assert f"chain one: entry {place + 1} was changed" in problems(entries)


def test_a_field_more_or_less_is_a_change():
    for changed in ({**chain(1)[0], "extra": None}, {k: v for k, v in chain(1)[0].items() if k != "note"}):
        assert problems([changed]) == ["chain one: entry 1 was changed"]


@pytest.mark.parametrize("place", range(9))
def test_a_changed_entry_with_its_hash_made_anew_breaks_the_chain_behind_it(place):
    entries = chain(10)
    entries[place] = rehashed(entries[place], actor="mallory")
    assert problems(entries) == [f"chain one: entry {place + 2} does not follow entry {place + 1}"]


def test_beside_the_true_one_even_a_forged_last_entry_is_found():
    entries = chain(3)
    for both in ([*entries, rehashed(entries[2], actor="mallory")], [rehashed(entries[2], actor="mallory"), *entries]):
        assert "chain one: there are two entries 3" in problems(both)


@pytest.mark.parametrize("place", range(9))
def test_a_removed_entry_is_missing(place):
    entries = chain(10)
    del entries[place]
    assert problems(entries) == [f"chain one: entry {place + 1} is missing"]


def test_a_gap_is_told_as_one():
    entries = chain(10)
    assert problems([entries[0], *entries[7:]]) == ["chain one: entries 2 to 7 are missing"]
    assert problems([entries[0], rehashed(entries[1], number=2**62)]) == [
        f"chain one: entries 2 to {2**62 - 1} are missing"
    ]


def test_an_inserted_entry_is_found():
    entries = chain(4)
    inserted = rehashed(entry_of(9), chain="one", number=3, previous_sha256=entries[1]["sha256"])
    assert "chain one: there are two entries 3" in problems([*entries, inserted])
    later = [rehashed(each, number=each["number"] + 1) for each in entries[2:]]
    assert problems([*entries[:2], inserted, *later]) == [
        "chain one: entry 4 does not follow entry 3",
        "chain one: entry 5 does not follow entry 4",
    ]


def test_swapped_entries_are_found():
    entries = chain(4)
    second, third = (rehashed(entries[n], number=5 - entries[n]["number"]) for n in (1, 2))
    found = problems([entries[0], third, second, entries[3]])
    assert len(found) == 3
    assert all("does not follow" in each for each in found)


def test_the_first_entry_follows_nothing():
    entries = chain(1)
    assert problems([rehashed(entries[0], previous_sha256="1" * 64)]) == ["chain one: entry 1 does not follow entry 0"]


def test_chains_are_held_apart():
    checked = check([*chain(3, "one"), *chain(5, "two")])
    assert (checked.entries, checked.chains, checked.problems) == (8, 2, ())
    assert problems([*chain(3, "one"), *chain(5, "two")[1:]]) == ["chain two: entry 1 is missing"]
    moved = rehashed(chain(3, "one")[1], chain="two")
    assert "chain two: entry 2 does not follow entry 1" in problems([chain(3, "two")[0], moved])


def test_a_chain_of_one_changed_entry_is_no_bug():
    assert problems([{**chain(1)[0], "actor": "mallory"}]) == ["chain one: entry 1 was changed"]


def test_what_was_cut_off_at_the_end_is_not_seen():
    """The limit of the check, as the documentation has it: only the table knows where the chain ends."""
    assert problems(chain(10)[:7]) == []


def test_the_table_knows_where_the_chain_ends():
    entries = chain(10)
    head = head_after(orjson.dumps(entries[-1]))
    assert missing_end(entries, head) is None
    assert missing_end(entries[:9], head) == "chain one: entry 10, its last, is missing or was changed"
    changed = rehashed(entries[-1], actor="mallory")
    assert missing_end([*entries[:9], changed], head) == "chain one: entry 10, its last, is missing or was changed"
    assert missing_end([*entries, *chain(3, "two")], head) is None


def test_entries_of_a_chain_that_the_table_does_not_know_are_a_lost_table():
    assert "liveness abuse rebuild" in (missing_end(chain(1), None) or "")


@pytest.mark.parametrize("head", [None, Head(chain="one")])
def test_before_the_first_entry_nothing_is_missing(head):
    assert missing_end([], head) is None


def test_what_the_command_stage_appends_is_an_entry():
    require_entry(chain(1)[0])


NO_ENTRIES: list[Callable[[dict[str, Any]], Any]] = [
    lambda entry: None,
    lambda entry: [entry],
    lambda entry: {},
    *(lambda entry, name=name: {k: v for k, v in entry.items() if k != name} for name in chain(1)[0]),
    *(
        lambda entry, name=name: {**entry, name: 7}
        for name in ("chain", "sha256", "previous_sha256", "command_id", "at", "outcome", "command", "actor", "reason")
    ),
    *(lambda entry, number=number: {**entry, "number": number} for number in (0, -1, True, 1.0, "1", None)),
    *(lambda entry, error=error: {**entry, "error": error} for error in ("text", {}, {"code": 1}, [])),
    lambda entry: {**entry, "changed": None},
    lambda entry: {**entry, "changed": {"deep": DEEP}},
]


@pytest.mark.parametrize("make", NO_ENTRIES)
def test_what_has_no_place_in_a_chain_is_refused(make):
    with pytest.raises(ValueError, match="no audit entry"):
        require_entry(make(chain(1)[0]))


async def test_the_log_in_memory_is_a_chain():
    log = InMemoryAuditLog()
    for number in range(5):
        await log.append(entry_of(number), await log.head())
    assert problems([orjson.loads(each) for each in log.entries]) == []
