"""Shipped networks fed as they were trained: real attacks and bona fide pictures of one collection are told apart.

A network that is fed in another colour order or crop still answers, and tells hardly anything.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.catalogues.pad_networks import SHIPPED, PadNetwork
from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.contract import ImageRefused
from detectors.onnx.fetching import is_ready
from detectors.pad import PadSource, open_networks
from detectors.signals import FaceObservation
from tests.photographs import ROOT_OF_SHARED

PICTURES = Path(os.environ.get("LIVENESS_TEST_ATTACKS") or ROOT_OF_SHARED / "pad-dev")
MODELS = Path(os.environ.get("LIVENESS_TEST_MODELS") or ROOT_OF_SHARED / "models")
#: One collection with both: of several, a network would tell the cameras apart.
BONA_FIDE, ATTACKS = ("bona_fide/axon_*",), ("attack/screen/axon_*", "attack/cutout/axon_*")


@pytest.fixture(scope="module")
def collection() -> dict[bool, list[FaceObservation]]:
    """Observations, True for bona fide."""
    if not PICTURES.is_dir():
        pytest.skip("no attack pictures for tests: LIVENESS_TEST_ATTACKS names their folder")
    analyser = FaceAnalyser(Policy())
    found: dict[bool, list[FaceObservation]] = {True: [], False: []}
    for live, patterns in ((True, BONA_FIDE), (False, ATTACKS)):
        for file in sorted(file for pattern in patterns for file in PICTURES.glob(pattern)):
            try:
                found[live].append(analyser.look(file.read_bytes()).seen)
            except ImageRefused:
                continue
    analyser.close()
    assert min(map(len, found.values())) >= 15
    return found


@pytest.mark.parametrize("network", SHIPPED, ids=lambda network: network.name)
def test_attacks_are_told_apart(network: PadNetwork, collection: dict[bool, list[FaceObservation]]) -> None:
    file = MODELS / network.file
    if not is_ready(file, network.sha256):
        pytest.skip(f"no {network.file} for tests: LIVENESS_TEST_MODELS names its folder")
    (detector,) = open_networks([PadSource(network=network, file=file)])
    scores = {live: [detector.read(seen).liveness for seen in faces] for live, faces in collection.items()}
    pairs = [(good > bad) + (good == bad) / 2 for good in scores[True] for bad in scores[False]]
    assert sum(pairs) / len(pairs) > 0.9
