"""The policy: published parameters and defaults, combinations that can't work, a hash of its own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config import policy as policies
from config.catalogues.detector_catalogue import DETECTORS
from config.limits.signals import SignalParameters, SignalWeights
from config.policy import Policy

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


def test_published_names_and_defaults():
    assert list(SignalParameters().model_dump().items()) == list(PUBLISHED.items())
    assert (Policy().inconclusive_band, Policy().image.max_bytes) == (0.04, 10 * 1024 * 1024)
    assert policies.load() == Policy(), "the shipped file is the default"


def test_the_weights_sum_to_one_and_skin_texture_is_the_heaviest():
    weights = SignalWeights().model_dump()
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert [name for name, weight in weights.items() if weight >= weights["lbp_texture"]] == ["lbp_texture"]
    assert weights == {name: spec.weight for name, spec in DETECTORS.items()}


def test_the_policy_schema_follows_the_catalogue():
    shares = Policy.model_json_schema()["$defs"]["SignalWeights"]
    assert list(shares["properties"]) == list(DETECTORS)
    assert shares["additionalProperties"] is False
    assert shares["properties"]["head_pose"]["description"] == "Head pose (face geometry; reads pose)"


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
    for model, field in (
        (Policy(), "name"),
        (Policy().parameters, "live_threshold"),
        (Policy().abuse.risk, "spoof_ratio"),
    ):
        with pytest.raises(ValidationError):
            setattr(model, field, 0.1)


def leaves(values, path=()):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def changed(model, path, value):
    """The model with one field changed, unchecked: any difference must show in the hash."""
    name, *rest = path
    held = getattr(model, name)
    if rest:
        value = {**held, rest[0]: value} if isinstance(held, dict) else changed(held, rest, value)
    return model.model_copy(update={name: value})


def another(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    return (0.2, 0.3) if isinstance(value, tuple) else value + 1


FIELDS = list(leaves(Policy().model_dump()))


def test_the_hash_changes_with_every_field():
    assert [path for path, value in FIELDS if changed(Policy(), path, value).sha256 != Policy().sha256] == []
    assert [path for path, value in FIELDS if changed(Policy(), path, another(value)).sha256 == Policy().sha256] == []
    assert len(FIELDS) > 100


#: Hashes stand in decisions that were published: a policy that says the same must keep them.
GOLDEN = {
    "": "ea8933843ebd44c189fe0c07b06f67f73a7931a5af9dadf006dcfffb47e52365",
    (
        'name = "heavier-texture"\n[weights]\nlbp_texture = 0.42\nexif_metadata = 0\n'
        "[parameters]\nlive_threshold = 0.6\n"
    ): "1141c869f7319ca1c9a893636b3281934000bd4e190342986b878622efdbf18a",
}


@pytest.mark.parametrize("text", GOLDEN, ids=["default", "changed"])
def test_hashes_stay_as_published(tmp_path, text):
    file = tmp_path / "policy.toml"
    file.write_text(text)
    policy = policies.load(file)
    assert policy.sha256 == GOLDEN[text]
    assert policy.parameters.live_threshold == (0.6 if text else 0.58)


@pytest.mark.parametrize("text", ["name = ", "\xff", 'colour = "green"', "[weights]\nsharpness = 0.9", "name = 5"])
def test_a_file_that_can_not_be_used_is_refused(tmp_path, text):
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):  # noqa: PT011  # TOML, UTF-8 or pydantic
        policies.load(file)


def test_groups_are_in_the_hash_where_there_are_any():
    depth = Policy.model_validate({"groups": {"depth": {}}})
    assert (
        len({Policy().sha256, depth.sha256, Policy.model_validate({"groups": {"depth": {"least": 0.7}}}).sha256}) == 3
    )
    assert Policy.model_validate({"groups": {}}).sha256 == Policy().sha256


@pytest.mark.parametrize(
    "groups",
    [
        {"Depth": {}},
        {"frame": {}},
        {"depth": {"least": 0.3, "attack": 0.4}},
        {"d": {"least": 0}},
        {f"g{n}": {} for n in range(5)},
    ],
)
def test_impossible_groups(groups):
    with pytest.raises(ValidationError):
        Policy.model_validate({"groups": groups})
