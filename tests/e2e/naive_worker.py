"""The counter-proof: the same worker with Faust's own acknowledgements at `concurrency=4`.

Faust commits past an event that is still in flight once agents overlap; nothing else differs.
"""

from __future__ import annotations

from typing import Any

from stream.kafka.agents.agents import AgentSpec, _record
from stream.kafka.consumer.app import LivenessApp
from stream.kafka.worker import worker
from tests.e2e import scripted_worker

CONCURRENCY = 4


def register(app: LivenessApp, runner: Any, spec: AgentSpec) -> None:
    """Stand-in for `stream.kafka.agents.agents.register`: an event is acknowledged when its own loop turn ends."""

    async def agent(stream: Any) -> None:
        publisher = runner()._publisher
        async for event in stream.events():
            await publisher.publish(await spec.stage.handle(_record(event)))

    agent.__name__ = agent.__qualname__ = spec.name
    app.agent(app.topic(spec.topic), concurrency=CONCURRENCY, name=spec.name)(agent)


if __name__ == "__main__":
    worker.register = register  # type: ignore[attr-defined]
    scripted_worker.main()
