"""Supervision of a worker that dies: started again, without a wait for the session of the dead one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka.protocol.group import LeaveGroupRequest

from config.settings import Settings
from stream.kafka.clients.clients import admin
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.workers import Worker


async def supervised(
    installation: Installation,
    command: tuple[str, ...],
    *arguments: str,
    done: Callable[[Worker], Awaitable[bool]],
    most_deaths: int,
) -> list[int]:
    """Start a worker again whenever the one before died, until `done`; the exit codes of those that died."""
    codes = list[int]()
    while True:
        worker = installation.workers.start(command, *arguments)

        async def died_or_done(worker: Worker = worker) -> bool:
            return worker.code is not None or (bool(worker.events("partitions_assigned")) and await done(worker))

        await eventually(died_or_done, "a death, or an end of the work", 90)
        if worker.code is None:
            return codes
        codes.append(worker.code)
        assert len(codes) <= most_deaths, f"{codes}: {worker.output[-3000:]}"
        await end_sessions(installation.settings)


async def end_sessions(settings: Settings) -> None:
    """Let the group's members leave, as the broker would some seconds after their deaths. Nobody else may live."""
    async with admin(settings.kafka) as client:
        coordinator = await client.find_coordinator(settings.group_id)
        (described,) = await client.describe_consumer_groups([settings.group_id], coordinator)
        for _, _, _, _, _, members, *_ in described.groups:
            for member_id, *_ in members:
                await client._send_request(LeaveGroupRequest(settings.group_id, member_id), coordinator)
