"""Records made to bring a worker down for good: each must end in an output that the broker takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.events.topics import DEAD_LETTER_HEADROOM
from stream.events.wire.dead_letter import KEPT_HEADER_BYTES, KEPT_HEADERS, WHY_HEADERS, DeadLetters
from stream.review import commands
from stream.review.command_stage import LONGEST_KEY
from stream.review.commands import InvalidCommand
from tests.unit.stream.builders import record
from tests.unit.stream.review.command_cases import Reviewer, sent


def test_repeated_header_is_kept_once():
    headers = (("ce_correlationid", b"x" * 256),) * 1000 + (("CE_ID", b"a"), ("ce_id", b"b"))
    letter = DeadLetters(topic="dead", max_bytes=1000).letter(record(b"", headers), reason="R", message="m")
    kept = [(name, value) for name, value in letter.headers if name not in WHY_HEADERS]
    assert kept == [("ce_correlationid", b"x" * 256), ("CE_ID", b"a")]
    assert len(KEPT_HEADERS) * KEPT_HEADER_BYTES < DEAD_LETTER_HEADROOM / 2


@pytest.mark.parametrize("depth", [10, 1000, 1020])
def test_deep_command_is_refused(depth):
    value = b'{"command_id":"x","command":' + b"[" * depth + b"]" * depth + b"}"
    read = commands.read(record(value))
    assert isinstance(read, InvalidCommand)


async def test_huge_key_is_not_repeated():
    outputs = await Reviewer().obey(replace(sent(), key=b"k" * 1_000_000))
    assert all(len(output.key or b"") <= LONGEST_KEY for output in outputs)
    outputs = await Reviewer().obey(replace(sent(), key=b"k" * LONGEST_KEY))
    assert [output.key for output in outputs] == [b"k" * LONGEST_KEY]
