"""Batches as a broker hands them out, with header names that no client should have been able to send."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from stream.events.messages import UNREADABLE_BATCH_HEADER, Poison
from stream.kafka.record_reading import MAX_HEADERS, TolerantRecords
from stream.kafka.unpacking import MAX_UNPACKED_BYTES
from tests.unit.stream.builders import read as read_event
from tests.unit.stream.builders import record
from tests.unreadable import Unreadable


def batch(names: list[str], *, compression: int = 0) -> bytes:
    """Batch with a record for each header name; its value is its place. The key is worth packing."""
    builder = new_builder(compression)
    for place, name in enumerate(names):
        builder.append(place, timestamp=1000 + place, key=b"k" * 500, value=b"%d" % place, headers=[(name, b"v")])
    return bytes(builder.build())


def new_builder(compression: int = 0) -> Any:
    return _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )


def read(fetched: bytes) -> list[tuple[Any, ...]]:
    records, found = TolerantRecords(fetched), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in one]
    return found


def test_client_s_parser_fails() -> None:
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch(["fine", Unreadable(b"\xff\xfe")])).next_batch())


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
def test_unreadable_name_is_escaped(compression: int) -> None:
    names = ["first", Unreadable(b"\xff\xfe"), "last"]
    found = read(batch(names, compression=compression) + batch(["next"]))
    assert [(offset, value) for offset, _, _, value, _ in found] == [(0, b"0"), (1, b"1"), (2, b"2"), (0, b"0")]
    assert [headers for *_, headers in found] == [
        (("first", b"v"),),
        (("\\xff\\xfe", b"v"),),
        (("last", b"v"),),
        (("next", b"v"),),
    ]


def test_sound_batches_as_the_client() -> None:
    fetched = batch(["a", "ü"]) + batch(["b"])
    records, expected = MemoryRecords(fetched), []
    while records.has_next():
        expected += [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records.next_batch()]
    assert read(fetched) == expected


def test_cut_batch_waits() -> None:
    whole = batch(["a"])
    assert len(read(whole + whole[:-3])) == 1


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
def test_every_codec_is_unpacked(codec: int) -> None:
    found = read(batch(["a", "b"], compression=codec))
    assert [value for *_, value, _ in found] == [b"0", b"1"]


def test_junk_behind_is_ignored() -> None:
    assert [value for *_, value, _ in read(repacked(lambda packed: packed + b"junk"))] == [b"0"]


@pytest.mark.parametrize(
    "spoil",
    [lambda packed: packed[:-9], lambda packed: b"", lambda packed: gzip.compress(b"\x00" * (MAX_UNPACKED_BYTES + 1))],
    ids=["cut off", "empty", "bomb"],
)
def test_unpackable_becomes_a_stand_in(spoil: Callable[[bytes], bytes]) -> None:
    spoilt = repacked(spoil)
    ((offset, _, key, value, headers),) = read(spoilt)
    assert (offset, key, value, headers) == (0, None, spoilt, ((UNREADABLE_BATCH_HEADER, b""),))


def test_intake_sets_stand_in_aside() -> None:
    answer = read_event(record(b"anything", ((UNREADABLE_BATCH_HEADER, b""),)))
    assert isinstance(answer, Poison)
    assert answer.reason == "UNREADABLE_BATCH"


def test_header_flood_is_not_read() -> None:
    builder = new_builder()
    builder.append(0, timestamp=1, key=b"k", value=b"v", headers=[("h", b"")] * (MAX_HEADERS + 1))
    builder.append(1, timestamp=1, key=b"k", value=b"v", headers=[("h", b"")] * MAX_HEADERS)
    flooded, full = read(bytes(builder.build()))
    assert flooded[-1] == (("ce_", b"\xff"),)
    assert len(full[-1]) == MAX_HEADERS


def repacked(change: Callable[[bytes], bytes]) -> bytes:
    """A gzip batch of one record with its packed part changed, its length and checksum put right again."""
    whole = batch(["a"], compression=1)
    spoilt = bytearray(whole[:61] + change(whole[61:]))
    spoilt[8:12] = (len(spoilt) - 12).to_bytes(4, "big")
    spoilt[17:21] = calc_crc32c(spoilt[21:]).to_bytes(4, "big")
    return bytes(spoilt)
