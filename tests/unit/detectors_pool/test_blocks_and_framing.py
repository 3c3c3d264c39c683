"""The two ways between parent and slot, without a process."""

from __future__ import annotations

import mmap
import os

import pytest

from detectors.analysis_codec import MAX_BYTES
from detectors.pool.blocks import ImageBlock, map_read_only
from detectors.pool.framing import MalformedReply, Reply, ReplyKind, ReplyReader, pack_reply


@pytest.fixture
def block():
    block = ImageBlock(10_000)
    yield block
    block.close()


def test_the_reader_sees_what_was_written_without_a_copy(block):
    view = map_read_only(block.fd, 10_000)
    assert block.write(b"first") == 5
    assert view[:5] == b"first"
    block.write(b"other")
    assert view[:5] == b"other"
    assert view.readonly


def test_the_reader_can_neither_write_nor_shorten_nor_enlarge(block):
    with pytest.raises(PermissionError):
        mmap.mmap(block.fd, 10_000)
    with pytest.raises(PermissionError):
        os.pwrite(block.fd, b"x", 0)
    for size in (0, 20_000):
        with pytest.raises(PermissionError):
            os.ftruncate(block.fd, size)


def test_a_picture_that_does_not_fit_is_an_error(block):
    with pytest.raises((ValueError, IndexError)):
        block.write(b"x" * 10_001)


def test_replies_are_found_whatever_the_chunks():
    replies = [
        Reply(1, ReplyKind.READY),
        Reply(2, ReplyKind.ANALYSED, b"x" * 1000),
        Reply(3, ReplyKind.RAISED, b"y"),
    ]
    stream = b"".join(map(pack_reply, replies))
    for step in (1, 7, 13, 14, 500, len(stream)):
        reader, found = ReplyReader(), []
        for start in range(0, len(stream), step):
            found += reader.feed(stream[start : start + step])
        assert found == replies


def test_a_length_over_the_cap_is_refused_before_it_is_read():
    assert ReplyReader().feed(pack_reply(Reply(1, ReplyKind.ANALYSED, b"x" * MAX_BYTES)))
    with pytest.raises(MalformedReply):
        ReplyReader().feed(pack_reply(Reply(1, ReplyKind.ANALYSED, b"x" * (MAX_BYTES + 1)))[:13])
