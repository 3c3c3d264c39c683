"""Services with TLS, logins and access rights (`services.py up --secure`), once a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.fixtures import up_for_the_run
from tests.e2e.installation import Installation
from tests.secure.secure_pair import SecurePair
from tests.tls_relay import TlsRelay


@pytest.fixture(scope="session")
def _pair_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePair]:
    pair = SecurePair(tmp_path_factory.mktemp("secure-pair") / "state")
    yield from up_for_the_run(pair)


@pytest.fixture
def secure(_pair_of_the_run: SecurePair) -> SecurePair:
    """A broker with TLS, logins and ACLs, and a Redis with users."""
    return _pair_of_the_run


@pytest.fixture
async def relay() -> AsyncIterator[TlsRelay]:
    """Relays by which a program without TLS is reached over TLS; they end with the test."""
    made = TlsRelay()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def operated(_pair_of_the_run: SecurePair, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with its topics and ACLs, as the admin of the broker sees it."""
    installation = Installation(_pair_of_the_run.environment, tmp_path_factory.mktemp("operated"), partitions=1)
    asyncio.run(installation.create_topics())
    asyncio.run(_pair_of_the_run.grant(installation))
    return installation
