"""The embedded broker: librdkafka's mock cluster, which ships in the confluent-kafka wheel.

The mock speaks Kafka's protocol on a loopback port but keeps 5 MiB a partition, knows no admin calls, no compaction
and no second member of a group, and ends with the object. A record that displaces everything before it
in its partition can't be read: pictures of some megabytes need a small record behind each (the demo sends one).
"""

from __future__ import annotations

import time

#: What the mock cluster can't do, as shown on screen.
LIMITS = "keeps 5 MiB a partition (pictures up to 2 MB), one worker, nothing survives the process"
#: Above this, a record may displace everything before it in its partition.
LARGE_BYTES = 2 * 1024 * 1024
#: Above this, it always does.
LARGEST_BYTES = 4 * 1024 * 1024
#: It answers a fetch only when the wait ends, so the wait is short.
FETCH_MAX_WAIT_MS = 5
START_TIMEOUT_S = 10.0


class EmbeddedBroker:
    """Started mock cluster of one broker; raises RuntimeError if the broker does not come up."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self._cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        self.bootstrap_servers = self._address()

    def close(self) -> None:
        """End the cluster; the object can't be used afterwards."""
        self._cluster.flush(1)
        del self._cluster

    def _address(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            brokers = self._cluster.list_topics(timeout=START_TIMEOUT_S).brokers
            for broker in brokers.values():
                return f"{broker.host}:{broker.port}"
        raise RuntimeError("the embedded broker did not start")
