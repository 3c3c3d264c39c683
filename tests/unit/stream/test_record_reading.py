"""Batches as a broker hands them out, with header names that no client should have been able to send."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from stream.record_reading import TolerantRecords
from tests.unreadable import Unreadable


def batch(names: list[str], *, compression: int = 0) -> bytes:
    """One batch with a record for each header name; its value is its place."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for place, name in enumerate(names):
        builder.append(place, timestamp=1000 + place, key=b"k", value=b"%d" % place, headers=[(name, b"v")])
    return bytes(builder.build())


def read(fetched: bytes) -> list[tuple[Any, ...]]:
    records, found = TolerantRecords(fetched), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in one]
    return found


def test_the_clients_own_parser_fails_on_an_unreadable_name() -> None:
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch(["fine", Unreadable(b"\xff\xfe")])).next_batch())


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
def test_an_unreadable_name_is_escaped_and_nothing_else_changes(compression: int) -> None:
    names = ["first", Unreadable(b"\xff\xfe"), "last"]
    found = read(batch(names, compression=compression) + batch(["next"]))
    assert [(offset, value) for offset, _, _, value, _ in found] == [(0, b"0"), (1, b"1"), (2, b"2"), (0, b"0")]
    assert [headers for *_, headers in found] == [
        (("first", b"v"),),
        (("\\xff\\xfe", b"v"),),
        (("last", b"v"),),
        (("next", b"v"),),
    ]


def test_sound_batches_read_as_the_client_reads_them() -> None:
    fetched = batch(["a", "ü"]) + batch(["b"])
    records, expected = MemoryRecords(fetched), []
    while records.has_next():
        expected += [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records.next_batch()]
    assert read(fetched) == expected


def test_a_batch_cut_off_by_the_fetch_limit_is_left_for_the_next_fetch() -> None:
    whole = batch(["a"])
    assert len(read(whole + whole[:-3])) == 1
