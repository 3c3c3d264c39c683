"""Batches as a broker hands them out, with header names that no client should have been able to send."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from stream.events.message.messages import HEADERS_CUT_HEADER, UNREADABLE_BATCH_HEADER, Poison
from stream.kafka.clients.record_reading import MAX_HEADERS, TolerantRecords
from stream.kafka.clients.unpacking import MAX_UNPACKED_BYTES
from tests.unit.stream.builders import read as read_event
from tests.unit.stream.builders import record
from tests.unreadable import Unreadable

ODD = Unreadable(b"\xff\xfe")
PRODUCER = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1}


def batch(*names: str, compression: int = 0, headers: int = 1) -> bytes:
    """Batch with a record for each header name; its value is its place. The key is worth packing."""
    builder = _DefaultRecordBatchBuilderPy(magic=2, compression_type=compression, batch_size=1_000_000, **PRODUCER)
    for place, name in enumerate(names):
        own = [(name, b"v")] * headers
        builder.append(place, timestamp=1000 + place, key=b"k" * 500, value=b"%d" % place, headers=own)
    return bytes(builder.build())


def read(fetched: bytes, parser: Callable[[bytes], Any] = TolerantRecords) -> list[tuple[Any, ...]]:
    records, found = parser(fetched), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in one]
    return found


@pytest.mark.parametrize("compression", range(5), ids=["plain", "gzip", "snappy", "lz4", "zstd"])
def test_unreadable_name_is_escaped(compression: int) -> None:
    found = read(batch("first", ODD, "last", compression=compression) + batch("next"))
    assert [(offset, value) for offset, _, _, value, _ in found] == [(0, b"0"), (1, b"1"), (2, b"2"), (0, b"0")]
    assert [headers[0] for *_, headers in found] == [(name, b"v") for name in ("first", "\\xff\\xfe", "last", "next")]


def test_sound_batches_as_the_client() -> None:
    fetched = batch("a", "ü") + batch("b") + batch("cut")[:-3]
    assert read(fetched) == read(fetched, MemoryRecords)
    assert len(read(fetched)) == 3


def test_junk_behind_is_ignored() -> None:
    assert [value for *_, value, _ in read(repacked(lambda packed: packed + b"junk"))] == [b"0"]


@pytest.mark.parametrize(
    "spoil",
    [lambda packed: packed[:-9], lambda packed: b"", lambda packed: gzip.compress(bytes(MAX_UNPACKED_BYTES + 1), 1)],
    ids=["cut off", "empty", "bomb"],
)
def test_unpackable_becomes_a_stand_in(spoil: Callable[[bytes], bytes]) -> None:
    spoilt = repacked(spoil)
    ((offset, _, key, value, headers),) = read(spoilt)
    assert (offset, key, value, headers) == (0, None, spoilt, ((UNREADABLE_BATCH_HEADER, b""),))
    answer = read_event(record(value, headers))
    assert isinstance(answer, Poison)
    assert answer.reason == "UNREADABLE_BATCH"


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
def test_header_flood_is_not_read(compression: int) -> None:
    (flooded,) = read(batch("h", compression=compression, headers=MAX_HEADERS + 1))
    assert flooded[-1] == ((HEADERS_CUT_HEADER, b""), *[("h", b"v")] * MAX_HEADERS)
    (full,) = read(batch("h", compression=compression, headers=MAX_HEADERS))
    assert len(full[-1]) == MAX_HEADERS


def repacked(change: Callable[[bytes], bytes]) -> bytes:
    """A gzip batch of one record with its packed part changed, its length and checksum put right again."""
    whole = batch("a", compression=1)
    spoilt = bytearray(whole[:61] + change(whole[61:]))
    spoilt[8:12] = (len(spoilt) - 12).to_bytes(4, "big")
    spoilt[17:21] = calc_crc32c(spoilt[21:]).to_bytes(4, "big")
    return bytes(spoilt)
