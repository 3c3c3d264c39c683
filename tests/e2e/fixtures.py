"""Fixtures of the tests that run whole workers; `tests/conftest.py` takes them over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from tests.e2e.cluster import RedisCluster
from tests.e2e.installation import Installation
from tests.e2e.private_pair import MissingPrograms, PrivatePair
from tests.services.choice import Services

Pair = TypeVar("Pair", bound=PrivatePair)
MakeInstallation = Callable[..., Awaitable[Installation]]


def up_for_the_run(pair: Pair) -> Iterator[Pair]:
    """The pair while it is up; skips where its programs are missing."""
    try:
        pair.up()
    except MissingPrograms as error:
        pytest.skip(f"no local services: {error}")
    try:
        yield pair
    finally:
        pair.down()


@pytest.fixture(scope="session")
def _pair_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePair]:
    pair = PrivatePair(tmp_path_factory.mktemp("private-pair") / "state")
    yield from up_for_the_run(pair)


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


def _installations(services: Mapping[str, str], folder: Path) -> Iterator[MakeInstallation]:
    made: list[Installation] = []

    async def make(partitions: int = 4, **changed: str) -> Installation:
        made.append(Installation(services, folder, partitions, **changed))
        await made[-1].create_topics()
        return made[-1]

    yield make
    for installation in made:
        installation.workers.tell()
        installation.workers.end()


@pytest.fixture
def install(services: Services, tmp_path: Path) -> Iterator[MakeInstallation]:
    """`await install(partitions=1, ...)`: an installation with its topics; its workers end with the test."""
    yield from _installations(services.environment, tmp_path)


@pytest.fixture
def install_private(private_pair: PrivatePair, tmp_path: Path) -> Iterator[MakeInstallation]:
    """The same on services that the test may kill."""
    yield from _installations(private_pair.environment, tmp_path)
