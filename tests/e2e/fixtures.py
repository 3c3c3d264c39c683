"""Fixtures of the tests that run whole workers; `tests/conftest.py` takes them over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import RedisCluster
from tests.e2e.installation import Installation
from tests.e2e.private_pair import MissingPrograms, PrivatePair
from tests.e2e.workers import Crew
from tests.services.choice import Services

MakeInstallation = Callable[..., Awaitable[Installation]]
MakeCrew = Callable[[Installation], Crew]


@pytest.fixture(scope="session")
def _pair_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePair]:
    pair = PrivatePair(tmp_path_factory.mktemp("private-pair") / "state")
    try:
        pair.up()
    except MissingPrograms as error:
        pytest.skip(f"no local services: {error}")
    try:
        yield pair
    finally:
        pair.down()


@pytest.fixture
def private_pair(_pair_of_the_run: PrivatePair) -> PrivatePair:
    """A broker and a Redis that may be killed; both run when the test begins."""
    _pair_of_the_run.up()
    return _pair_of_the_run


@pytest.fixture(scope="session")
def _cluster_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    try:
        cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"))
    except MissingPrograms as error:
        pytest.skip(f"no local services: {error}")
    try:
        cluster.form()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def redis_cluster(_cluster_of_the_run: RedisCluster) -> RedisCluster:
    """Three Redis nodes that may be killed and may move slots; all run and agree when the test begins."""
    _cluster_of_the_run.wait_until_sound()
    return _cluster_of_the_run


@pytest.fixture
async def install(services: Services) -> MakeInstallation:
    """`await install(partitions=1, ...)`: an installation with its topics, on the ladder's services."""

    async def make(partitions: int = 4, **changed: str) -> Installation:
        made = Installation(services.environment, partitions, **changed)
        await made.create_topics()
        return made

    return make


@pytest.fixture
async def install_private(private_pair: PrivatePair) -> MakeInstallation:
    """The same on services that the test may kill."""

    async def make(partitions: int = 4, **changed: str) -> Installation:
        made = Installation(private_pair.environment, partitions, **changed)
        await made.create_topics()
        return made

    return make


@pytest.fixture
async def crew_of(tmp_path: Path) -> AsyncIterator[MakeCrew]:
    """`crew_of(installation)`: starts its workers; none is left after the test."""
    crews: list[Crew] = []

    def make(installation: Installation) -> Crew:
        crews.append(Crew(installation.environment, tmp_path))
        return crews[-1]

    yield make
    for crew in crews:
        crew.end()
