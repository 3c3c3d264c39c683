"""Workers whose record keys differ: a worker that would set aside the others' records is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.runtime.fleet import conflict
from tests.unit.stream.runtime.test_fleet import K1, K2, K2_PAST, K2_SOON, NOW_MS, ONE, TWO, made

#: Record keys and the end of unsigned records on two workers, and whether each takes the other's records.
KEYS = {
    "the same": (((K1,), 0), ((K1,), 0), True),
    "none": (((), 0), ((), 0), True),
    "the next one added": (((K1,), 0), ((K1, K2_SOON), 0), True),
    "the former removed": (((K1, K2_PAST), 0), ((K2,), 0), True),
    "exchanged": (((K1,), 0), ((K2,), 0), False),
    "forgotten on one": (((K1,), 0), ((K1, K2_PAST), 0), False),
    "introduced": (((K1,), NOW_MS + 1), ((), 0), True),
    "introduced for too short": (((K1,), NOW_MS), ((), 0), False),
    "introduced at once": (((K1,), 0), ((), NOW_MS + 1), False),
}


@pytest.mark.parametrize(("here", "there", "together"), KEYS.values(), ids=KEYS)
def test_record_keys(here, there, together):
    ours, theirs = (
        replace(badge, record_keys=keys, unsigned_until_ms=until_ms)
        for badge, (keys, until_ms) in ((ONE, here), (TWO, there))
    )
    found = [conflict(ours, theirs, NOW_MS), conflict(theirs, ours, NOW_MS)]
    assert [words is None for words in found] == [together, together]
    assert together or "LIVENESS_RECORDS__UNSIGNED_UNTIL" in found[0]


def test_made_of_settings():
    secret = "of-the-records-and-very-long-as-well"
    ours = made(records={"keys": [{"id": "r1", "secret": secret}], "unsigned_until": "2027-01-15T08:00:00Z"})
    assert ([mark.id for mark in ours.record_keys], ours.unsigned_until_ms) == (["r1"], NOW_MS)
    assert secret not in str(ours)
    assert ours.signatures == "off"
