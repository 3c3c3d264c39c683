"""Networks that take part: by what is fetched, by name and by manifest."""

from __future__ import annotations

import pickle

import pytest

from config import policy as policies
from config.catalogues.pad_networks import SHIPPED, network_file
from config.groups.processing import DetectionSettings
from config.policy import Policy
from config.settings import Settings
from detectors.pad import PadNetworkUnusable, sources
from tests.tiny_network import manifest_text

OPEN = [network.name for network in SHIPPED if not network.opt_in]
RESTRICTED = [network.name for network in SHIPPED if network.opt_in]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("LIVENESS_DETECTION__PAD_NETWORKS")
    return tmp_path


def put(cache, *names):
    for network in SHIPPED:
        if network.name in names:
            file = network_file(network, cache)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"a network")


@pytest.mark.parametrize(
    ("fetched", "names", "found"),
    [
        ([], None, []),
        (OPEN[:1], None, OPEN[:1]),
        (OPEN + RESTRICTED, None, OPEN),
        (OPEN, [], []),
        ([], OPEN[1:2], OPEN[1:2]),
        (OPEN, RESTRICTED, RESTRICTED),
    ],
)
def test_by_what_is_fetched_and_by_name(cache, fetched, names, found):
    put(cache, *fetched)
    assert [each.network.name for each in sources(names, [], cache)] == found


@pytest.mark.parametrize(("fetched", "name"), [([], "signals"), (RESTRICTED, "signals"), (OPEN[:1], "learned")])
def test_policy_follows_networks(cache, fetched, name):
    put(cache, *fetched)
    assert Settings().policy().name == name
    assert Settings(detection=DetectionSettings(pad_networks=())).policy().name == "signals"


def test_learned_policy_knows_its_networks():
    policy = policies.load(policies.LEARNED)
    assert set(policy.pad_networks.floors) == {network.name for network in SHIPPED}
    assert policy.pad_networks.weight >= max(policy.weights.model_dump().values())
    quality = ("sharpness", "eye_aspect_ratio", "head_pose", "face_area_ratio", "facial_symmetry")
    assert {getattr(policy.weights, name) for name in quality} == {0}, "quality adds no liveness"
    assert policy.provenance
    assert policy.sha256 == policy.model_copy(update={"provenance": {}}).sha256
    assert policy.sha256 != Policy().sha256


def test_own_network(source, tmp_path):
    network = source().network
    (tmp_path / "own.toml").write_text(manifest_text(network))
    (found,) = sources([], [tmp_path / "own.toml"], tmp_path)
    assert found == source()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": 'name = "minifasnet_v2"'}, "ready to use"),
        ({"name": 'name = "Has Blanks"'}, "name"),
        ({"file": 'file = "../up.onnx"'}, "file"),
        ({"sha256": 'sha256 = "abc"'}, "sha256"),
        ({"trained_on": ""}, "trained_on"),
        ({"output_kind": 'output_kind = "scores"'}, "output_kind"),
        ({"crop": '[crop]\nrule = "oval"\nscale = 2'}, "crop.rule"),
        ({"crop": '[crop]\nrule = "square"\nscale = 2000'}, "crop.scale"),
        ({"input": "[input]\nside = 100000"}, "input.side"),
        ({"licence": 'licence = "x"\ncolour = "green"'}, "colour"),
    ],
)
def test_manifests_with_mistakes(source, tmp_path, changes, words):
    (tmp_path / "own.toml").write_text(manifest_text(source().network, **changes))
    with pytest.raises(PadNetworkUnusable, match=words):
        sources([], [tmp_path / "own.toml"], tmp_path)


def test_names_must_be_known_and_differ(source, tmp_path):
    with pytest.raises(PadNetworkUnusable, match="there is no network palm"):
        sources(["palm"], [], tmp_path)
    (tmp_path / "own.toml").write_text(manifest_text(source().network))
    with pytest.raises(PadNetworkUnusable, match="two networks"):
        sources([], [tmp_path / "own.toml"] * 2, tmp_path)


def test_shipped_networks_reach_a_slot():
    """A slot process gets its networks pickled."""
    assert pickle.loads(pickle.dumps(SHIPPED)) == SHIPPED
    assert len(set(SHIPPED)) == len(SHIPPED)
