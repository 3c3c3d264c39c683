"""Rights of a worker: what it reads before it starts, it may read."""

from __future__ import annotations

from abuse.store_time import StillTime
from stream.events.topics import Topic
from stream.kafka.clients.access import RIGHTS, Operation, Principal
from stream.maintenance.older_copy import TopicComparison


async def test_worker_may_read_what_it_compares_redis_with() -> None:
    """Without the right a worker on an older copy would end with the name of a right, not with what is wrong."""
    asked: list[Topic] = []

    async def appended_since(topic: Topic, since_ms: int) -> list[object]:
        asked.append(topic)
        return []

    stores = {"decisions": None, "commands": None, "time": StillTime(0), "decisions_kept_ms": 0}
    await TopicComparison(appended_since=appended_since, **stores).is_older(0)  # type: ignore[arg-type]
    assert asked
    assert all(Operation.READ in RIGHTS[Principal.WORKER][topic] for topic in asked)
