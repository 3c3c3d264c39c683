"""Where the consumer goes on reading after a rebalance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

from faust.types import TP

from config.settings import Settings
from stream.kafka.consumer.app import make_app

COMMITTED, AT_ZERO, NEVER = TP("submissions", 0), TP("submissions", 1), TP("submissions", 2)


async def test_uncommitted_partitions_start_over() -> None:
    """A fetch that a rebalance overtakes moves a partition on: only a seek brings the records again."""
    never = AsyncMock()
    consumer: Any = make_app(Settings()).transport.create_consumer(
        callback=never, on_partitions_revoked=never, on_partitions_assigned=never
    )
    consumer._thread = SimpleNamespace(
        assignment=Mock(return_value={COMMITTED, AT_ZERO, NEVER}),
        seek_to_committed=AsyncMock(return_value={COMMITTED: 5, AT_ZERO: 0, NEVER: None}),
        seek_to_beginning=AsyncMock(),
        earliest_offsets=AsyncMock(return_value={COMMITTED: 0, AT_ZERO: 0}),
        highwaters=AsyncMock(return_value={COMMITTED: 9, AT_ZERO: 9}),
        seek=Mock(),
    )
    await consumer.perform_seek()
    assert set(consumer._thread.seek_to_beginning.call_args.args) == {AT_ZERO, NEVER}
    assert consumer._read_offset == {COMMITTED: 5, AT_ZERO: 0, NEVER: None}
