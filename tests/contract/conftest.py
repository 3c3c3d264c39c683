"""The fixtures of every contract suite: a suite says what it puts on a backing, and what stands for it in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.backings import MEMORY, REDIS, Backing, backing_of


@pytest.fixture(params=REDIS)
async def backing(request: pytest.FixtureRequest) -> AsyncIterator[Backing]:
    async with backing_of(request) as made:
        yield made


@pytest.fixture(params=[MEMORY, *REDIS])
async def any_backing(request: pytest.FixtureRequest) -> AsyncIterator[Backing | None]:
    """None where the suite is to use what it has in memory."""
    if request.param == MEMORY:
        yield None
        return
    async with backing_of(request) as made:
        yield made
