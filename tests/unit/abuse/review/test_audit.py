"""The chain of audit entries: what `check` finds, and what has no place in any chain."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from abuse.review.audit import BEGINNING, Head, check, digest, head_after, missing_end, require_entry, sealed

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
    """Findings of `check`, without the name of the chain `one`."""
    return [each.removeprefix("chain one: ") for each in check(entries).problems]


def rehashed(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    changed = {**entry, **changes}
    return {**changed, "sha256": digest(changed)}


def test_whole_chain_has_no_problems():
    """In any order, and with repeats; cut off at its end too, as only the table knows where a chain ends."""
    entries = chain(50)
    for seed in range(5):
        shuffled = [*entries, *entries[10:20]]
        random.Random(seed).shuffle(shuffled)
        checked = check(shuffled)
        assert (checked.entries, checked.chains, checked.problems) == (50, 1, ())
    assert problems([]) == problems(entries[:7]) == []


def test_entry_says_its_place_and_holds_the_hash_before():
    first, second = chain(2)
    assert (first["chain"], first["number"], first["previous_sha256"]) == ("one", 1, BEGINNING)
    assert (second["number"], second["previous_sha256"]) == (2, first["sha256"])
    assert digest(second) == second["sha256"]


@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize("name", ["actor", "at", "outcome", "changed", "command_id", "previous_sha256", "extra"])
def test_changed_entry_is_found(place, name):
    entries = chain(10)
    entries[place] = {**entries[place], name: "other"}
    assert f"entry {place + 1} was changed" in problems(entries)


def test_field_less_is_a_change():
    (entry,) = chain(1)
    del entry["note"]
    assert problems([entry]) == ["entry 1 was changed"]


@pytest.mark.parametrize("place", range(9))
def test_changed_and_removed_entries_break_the_chain(place):
    """Also where the changed entry's hash was made anew."""
    entries = chain(10)
    forged = rehashed(entries[place], actor="mallory")
    before, after = entries[:place], entries[place + 1 :]
    assert problems([*before, forged, *after]) == [f"entry {place + 2} does not follow entry {place + 1}"]
    assert problems([*before, *after]) == [f"entry {place + 1} is missing"]


def test_forged_last_entry_is_found_beside_the_true_one():
    entries = chain(3)
    forged = rehashed(entries[2], actor="mallory")
    for both in ([*entries, forged], [forged, *entries]):
        assert "there are two entries 3" in problems(both)


def test_gap_is_told_as_one():
    entries = chain(10)
    assert problems([entries[0], *entries[7:]]) == ["entries 2 to 7 are missing"]
    far = rehashed(entries[1], number=2**62)
    assert problems([entries[0], far]) == [f"entries 2 to {2**62 - 1} are missing"]


def test_inserted_and_swapped_entries_are_found():
    entries = chain(4)
    inserted = rehashed(entry_of(9), chain="one", number=3, previous_sha256=entries[1]["sha256"])
    assert "there are two entries 3" in problems([*entries, inserted])
    later = [rehashed(each, number=each["number"] + 1) for each in entries[2:]]
    broken = [f"entry {number} does not follow entry {number - 1}" for number in (2, 3, 4, 5)]
    assert problems([*entries[:2], inserted, *later]) == broken[2:]
    second, third = (rehashed(entries[n], number=5 - entries[n]["number"]) for n in (1, 2))
    assert problems([entries[0], third, second, entries[3]]) == broken[:3]


def test_first_entry_follows_nothing():
    (entry,) = chain(1)
    assert problems([rehashed(entry, previous_sha256="1" * 64)]) == ["entry 1 does not follow entry 0"]


def test_chains_are_apart():
    checked = check([*chain(3, "one"), *chain(5, "two")])
    assert (checked.entries, checked.chains, checked.problems) == (8, 2, ())
    assert problems([*chain(3, "one"), *chain(5, "two")[1:]]) == ["chain two: entry 1 is missing"]
    moved = rehashed(chain(3, "one")[1], chain="two")
    assert "chain two: entry 2 does not follow entry 1" in problems([chain(3, "two")[0], moved])


def test_table_knows_where_the_chain_ends():
    entries = chain(10)
    head = head_after(orjson.dumps(entries[-1]))
    assert missing_end([*entries, *chain(3, "two")], head) is None
    for rest in ([], [rehashed(entries[-1], actor="mallory")]):
        assert missing_end([*entries[:9], *rest], head) == "chain one: entry 10, its last, is missing or was changed"
    assert "liveness abuse rebuild" in (missing_end(chain(1), None) or ""), "a lost table"
    assert missing_end([], None) is missing_end([], Head(chain="one")) is None


TEXTS = ("chain", "sha256", "previous_sha256", "command_id", "at", "outcome", "command", "actor", "reason")
(ENTRY,) = chain(1)
NO_ENTRIES = [
    *(None, [ENTRY], {}),
    *({each: value for each, value in ENTRY.items() if each != name} for name in ENTRY),
    *({**ENTRY, name: 7} for name in TEXTS),
    *({**ENTRY, "number": number} for number in (0, -1, True, 1.0, "1", None)),
    *({**ENTRY, "error": error} for error in ("text", {}, {"code": 1}, [])),
    *({**ENTRY, "changed": changed} for changed in (None, {"deep": DEEP})),
]


@pytest.mark.parametrize("value", NO_ENTRIES)
def test_foreign_entry_is_refused(value):
    require_entry(ENTRY)
    with pytest.raises(ValueError, match="no audit entry"):
        require_entry(value)
