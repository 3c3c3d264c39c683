"""The two ways between parent and slot, without a process."""

from __future__ import annotations

import mmap
import os

import pytest

from detectors.pool.blocks import ImageBlock, cut_into, map_read_only
from detectors.pool.messages import MAX_BODY_BYTES, MalformedReply, Reply, ReplyKind, ReplyReader, pack_reply, split


@pytest.fixture
def block():
    block = ImageBlock(10_000)
    yield block
    block.close()


def test_readers_can_change_nothing(block):
    with pytest.raises(PermissionError):
        mmap.mmap(block.fd, 10_000)
    with pytest.raises(PermissionError):
        os.pwrite(block.fd, b"x", 0)
    for size in (0, 20_000):
        with pytest.raises(PermissionError):
            os.ftruncate(block.fd, size)


def test_images_lie_behind_each_other(block):
    images = [b"first", b"", b"second" * 1000, b"third"]
    lengths = block.write(memoryview(image) for image in images)
    assert list(cut_into(map_read_only(block.fd, 10_000), lengths)) == images
    for too_long in ([b"x" * 10_001], [b"x" * 6_000, b"y" * 4_001]):
        with pytest.raises((ValueError, IndexError)):
            block.write(too_long)


@pytest.mark.parametrize("body", [b"x", b"\x04\0\0\0abc", b"\x05\0\0\0ab", b"\xff\xff\xff\xff"])
def test_malformed_bodies_are_refused(body):
    with pytest.raises(MalformedReply):
        split(body)


def test_replies_survive_any_chunks():
    replies = [Reply(1, ReplyKind.READY), Reply(2, ReplyKind.ANALYSED, b"x" * 1000), Reply(3, ReplyKind.RAISED, b"y")]
    stream = b"".join(map(pack_reply, replies))
    for step in (1, 7, 13, 14, 500, len(stream)):
        reader, found = ReplyReader(), []
        for start in range(0, len(stream), step):
            found += reader.feed(stream[start : start + step])
        assert found == replies


def test_long_bodies_are_refused_early():
    assert ReplyReader().feed(pack_reply(Reply(1, ReplyKind.ANALYSED, b"x" * MAX_BODY_BYTES)))
    with pytest.raises(MalformedReply):
        ReplyReader().feed(pack_reply(Reply(1, ReplyKind.ANALYSED, b"x" * (MAX_BODY_BYTES + 1)))[:13])
