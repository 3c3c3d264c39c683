"""A worker's own slot pool with the networks and the policy that ship: what is handed to slots arrives there whole."""

from __future__ import annotations

import pytest

from config.cache import cache_folder
from config.catalogues.pad_networks import SHIPPED, network_file
from config.groups.processing import DetectionSettings
from config.policy import LEARNED, load
from config.settings import Settings
from detectors.contract import Frame, ReadingStatus
from detectors.onnx.fetching import is_ready
from stream.bootstrap.models import network_sources
from stream.bootstrap.slots import open_pool
from stream.demo import attacks, scenario

BY_DEFAULT = [network for network in SHIPPED if not network.opt_in]


@pytest.fixture
def settings() -> Settings:
    """Settings of a machine where the networks were fetched; skips where they were not."""
    for network in BY_DEFAULT:
        if not is_ready(network_file(network, cache_folder()), network.sha256):
            pytest.skip(f"no {network.file} in the cache: `liveness models fetch` gets the networks")
    return Settings(detection=DetectionSettings(pad_networks=None, slots=1))


async def test_slots_open_the_shipped_networks(settings: Settings) -> None:
    policy = settings.policy()
    assert policy == load(LEARNED)
    assert [source.network for source in network_sources(settings, policy)] == BY_DEFAULT
    pool = open_pool(settings, policy)
    try:
        await pool.start()
        photo = attacks.camera_photo(attacks.portrait(attacks.decode(scenario.astronaut())))
        (analysis,) = await pool.analyse((Frame(photo),))
    finally:
        await pool.stop(grace_s=0)
    status = {reading.name: reading.status for reading in analysis.readings}
    assert analysis.error is None
    assert {name for name in status if name.startswith("pad_")} == {network.signal for network in BY_DEFAULT}
    assert {*status} == {*policy.signals, *(network.signal for network in BY_DEFAULT)}
    assert {status[network.signal] for network in BY_DEFAULT} == {ReadingStatus.SCORED}
    assert {network.sha256 for network in BY_DEFAULT} <= {model.sha256 for model in analysis.models}
