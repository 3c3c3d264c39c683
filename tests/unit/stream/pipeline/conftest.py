"""Pipelines over fakes that many tests of the stages begin with."""

from __future__ import annotations

import pytest

from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.abuse_cases import attacked, five_failures


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def spoofing() -> Pipeline:
    """Pipeline whose every analysis is SPOOF."""
    return attacked()


@pytest.fixture
async def paused(spoofing: Pipeline) -> Pipeline:
    """Pipeline after five failures of one correlation id, the fifth at 4 s."""
    await five_failures(spoofing)
    return spoofing
