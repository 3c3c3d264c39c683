"""The policy: published parameters and defaults, combinations that can't work, a hash of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from config import policy as policies
from config.detector_catalogue import DETECTORS
from config.policy import Policy, SignalParameters, SignalWeights

ROOT = Path(__file__).resolve().parents[3]

#: The published Configuration table: names and defaults, in its order.
PUBLISHED = {
    "live_threshold": 0.58,
    "min_face_confidence": 0.60,
    "min_blur_variance": 40.0,
    "min_ear": 0.15,
    "max_yaw_deg": 35.0,
    "max_pitch_deg": 30.0,
    "min_face_area_ratio": 0.04,
    "max_asymmetry": 0.20,
    "lbp_dominant_bin_spoof_threshold": 0.60,
    "fft_kurtosis_max": 12.0,
    "fft_hf_ratio_baseline": 0.65,
    "fft_az_variance_max": 0.35,
}


def test_the_twelve_parameters_have_the_published_names_and_defaults():
    assert SignalParameters().model_dump() == PUBLISHED
    assert list(SignalParameters.model_fields) == list(PUBLISHED)


def test_the_published_band_and_limits():
    assert Policy().inconclusive_band == 0.04
    assert Policy().image.max_bytes == 10 * 1024 * 1024


def test_the_weights_sum_to_one_and_skin_texture_is_the_heaviest():
    weights = SignalWeights().model_dump()
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert max(weights, key=weights.__getitem__) == "lbp_texture"
    assert sorted(weights.values())[-2] < weights["lbp_texture"]
    assert weights == {name: spec.weight for name, spec in DETECTORS.items()}


def test_the_policy_schema_follows_the_catalogue():
    shares = Policy.model_json_schema()["$defs"]["SignalWeights"]
    assert list(shares["properties"]) == list(DETECTORS)
    assert shares["additionalProperties"] is False
    assert shares["properties"]["head_pose"]["description"] == "Head pose (face geometry; reads pose)"


def test_the_shipped_file_is_the_default():
    assert policies.load() == Policy()


ILLEGAL = {
    "weights beyond one": {"weights": {"sharpness": 0.5}},
    "another signal as heavy as skin texture": {"weights": {"lbp_texture": 0.30, "fft_deepfake": 0.31}},
    "a negative weight": {"weights": {"sharpness": -0.1}},
    "no room below the band": {"parameters": {"live_threshold": 0.05}, "inconclusive_band": 0.045},
    "no room above the band": {"parameters": {"live_threshold": 0.76}},
    "no band": {"inconclusive_band": 0},
    "a threshold above one": {"parameters": {"live_threshold": 1.0}},
    "not a number": {"parameters": {"live_threshold": float("nan")}},
    "infinite": {"parameters": {"min_blur_variance": float("inf")}},
    "no time for a second attempt": {"deadlines": {"detector_s": 10, "event_s": 19}},
    "a falling range": {"framing": {"ideal_face_area": [0.4, 0.1]}},
    "a share above one": {"framing": {"ideal_face_area": [0.1, 1.1]}},
    "an unknown key": {"colour": "green"},
    "an unknown parameter": {"parameters": {"live_treshold": 0.6}},
    "an unknown weight": {"weights": {"palm": 0.1}},
    "an unknown limit": {"image": {"max_size": 1}},
    "a name with spaces": {"name": "My policy"},
    "no name": {"name": ""},
    "a limit of nothing": {"image": {"max_bytes": 0}},
    "words for a number": {"parameters": {"live_threshold": "high"}},
    "none for a number": {"parameters": {"live_threshold": None}},
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_a_policy_that_can_not_work_is_refused(name):
    with pytest.raises(ValidationError):
        Policy.model_validate(ILLEGAL[name])


@pytest.mark.parametrize("edge", [{"live_threshold": 0.05}, {"live_threshold": 0.75}])
def test_the_band_may_go_to_its_edges(edge):
    assert Policy.model_validate({"parameters": edge, "inconclusive_band": 0.039})


def test_a_policy_does_not_change_under_way():
    with pytest.raises(ValidationError):
        Policy().name = "other"
    with pytest.raises(ValidationError):
        Policy().parameters.live_threshold = 0.1


def leaves(values, path=()):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def changed(path, value):
    """The default policy with one field moved a little, unchecked: any difference must show in the hash."""
    return _with(Policy(), path, value)


def _with(model, path, value):
    name, *rest = path
    held = getattr(model, name)
    if not rest:
        inner = value
    elif isinstance(held, dict):
        inner = {**held, rest[0]: value}
    else:
        inner = _with(held, rest, value)
    return model.model_copy(update={name: inner})


def another(value):
    """A value of the same type that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    return (0.2, 0.3) if isinstance(value, tuple) else value + 1


FIELDS = list(leaves(Policy().model_dump()))
#: Every rule of the abuse table has its two switches; these are what each adds.
ABUSE_FIELDS = {
    "excessive_retries": 8,
    "attack_frequency": 2,
    "attack_severity": 3,
    "address_velocity": 2,
    "many_ids_on_address": 3,
    "shared_address": 3,
    "device_velocity": 3,
    "listed_network": 3 + 2,
    "address_mismatch": 2,
    "content_mismatch": 2,
    "face_reuse": 3,
    "media_replay": 3,
}
RISK_FIELDS = 6


@pytest.mark.parametrize(("path", "value"), FIELDS, ids=[".".join(path) for path, _ in FIELDS])
def test_the_hash_changes_with_every_field(path, value):
    assert changed(path, value).sha256 == Policy().sha256
    assert changed(path, another(value)).sha256 != Policy().sha256


TEMPLATE_FIELDS = 6


def test_every_field_is_in_the_hash_test():
    abuse = sum(count + 2 for count in ABUSE_FIELDS.values()) + RISK_FIELDS + 1
    assert len(FIELDS) == 2 + len(PUBLISHED) + len(DETECTORS) + 5 + 3 + TEMPLATE_FIELDS + 2 + abuse


#: Hashes stand in decisions that were published: a policy that says the same must keep them.
GOLDEN = {
    "": "907cdc18efa0408c4b43a24cb59ddd1de3c6124a0304095a28c8fd8dc60c92cb",
    (
        'name = "heavier-texture"\n'
        "[weights]\nlbp_texture = 0.42\nexif_metadata = 0\n"
        "[parameters]\nlive_threshold = 0.6\n"
    ): ("65318fd12b9848917ab7b3cfb0a37f637d2047fe2f33ed15ba771b81b950a1d2"),
}


@pytest.mark.parametrize("text", GOLDEN)
def test_hashes_stay_as_published(tmp_path, text):
    file = tmp_path / "policy.toml"
    file.write_text(text)
    assert policies.load(file).sha256 == GOLDEN[text]


def test_the_hash_is_the_same_in_another_process():
    code = "from config.policy import Policy; print(Policy().sha256)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == Policy().sha256


def test_a_file_is_read(tmp_path):
    file = tmp_path / "strict.toml"
    file.write_text('name = "strict"\n[parameters]\nlive_threshold = 0.7\n')
    policy = policies.load(file)
    assert (policy.name, policy.parameters.live_threshold) == ("strict", 0.7)
    assert policy.parameters.min_ear == 0.15
    assert policy.sha256 != Policy().sha256


@pytest.mark.parametrize("text", ["name = ", "\xff", 'colour = "green"', "[weights]\nsharpness = 0.9", "name = 5"])
def test_a_file_that_can_not_be_used_is_refused(tmp_path, text):
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):  # noqa: PT011  # TOML, UTF-8 or pydantic
        policies.load(file)
