"""Headers and keys of megabytes: cut before a record waits, and the submission refused in words that say why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from stream.events.message.messages import HEADERS_CUT_HEADER, Fault, Headers, Record, Submission
from stream.kafka.clients.record_reading import MAX_HEADER_BYTES, MAX_HEADERS, TolerantRecords
from stream.kafka.clients.records import record_of
from stream.pipeline.intake.intake import MAX_KEY_BYTES
from tests.unit.stream.builders import binary, ce_headers, read, rejected
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.kafka.clients.test_record_reading import PRODUCER

MB = 1_000_000
TOO_MUCH = "the record has more than 256 headers, or more than 64 KiB of them"
FLOODS: dict[str, Headers] = {
    "one of megabytes": (("x", b"v" * 2 * MB),),
    "a name of megabytes": (("x" * 2 * MB, b""),),
    "many": (("x", b"v" * 1000),) * 200,
    "an attribute of ours": (("ce_note", b"v" * 2 * MB),),
}


def stored(sent: Record, headers: Headers, compression: int = 0) -> Record:
    """Record as the worker reads it from a broker."""
    builder = _DefaultRecordBatchBuilderPy(magic=2, compression_type=compression, batch_size=4 * MB, **PRODUCER)
    builder.append(0, timestamp=1000, key=sent.key, value=sent.value, headers=list(headers))
    (message,) = TolerantRecords(bytes(builder.build())).next_batch()
    place = {"topic": sent.topic, "partition": 0, "offset": message.offset}
    parts = {"key": message.key, "value": message.value, "headers": message.headers}
    return record_of(SimpleNamespace(**place, **parts, timestamp_type=1), timestamp_ms=message.timestamp)


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FLOODS)
def test_submission_is_refused(name: str, compression: int) -> None:
    """A header behind the flood still names the submission, and what is kept is small."""
    given = stored(binary(), FLOODS[name] + binary().headers, compression)
    assert rejected(given, message=TOO_MUCH).ids.submission_id == "sub-1"
    assert sum(len(name) + len(value) for name, value in given.headers) < MAX_HEADER_BYTES + len(HEADERS_CUT_HEADER)


async def test_nobody_named() -> None:
    given = stored(binary(), FLOODS["one of megabytes"] + ce_headers())
    given = stored(given, (("x", b"v" * MB),) * (MAX_HEADERS + 1))
    (letter,) = await Pipeline().detect(given)
    assert (letter.fault, letter.value) == (Fault.POISON, given.value)
    assert sum(len(value) for _, value in letter.headers) < 1000


def test_at_the_limit() -> None:
    """As many headers and bytes as are allowed."""
    full = (*binary().headers, ("x", b""))
    used = sum(len(name) + len(value) + 4 for name, value in full)
    full = (*full[:-1], ("x", b"v" * (MAX_HEADER_BYTES - used)))
    assert stored(binary(), full).headers == full


def test_key() -> None:
    longest = replace(binary(), key=b"k" * MAX_KEY_BYTES)
    assert isinstance(read(longest), Submission)
    rejected(
        replace(longest, key=b"k" * (MAX_KEY_BYTES + 1)),
        message=f"the record's key has more than {MAX_KEY_BYTES} bytes",
    )
