"""A model of one's own: fed as the manifest says, refused where the manifest is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from detectors.onnx.manifest import MAX_MANIFEST_BYTES
from detectors.template import TemplateModelUnusable, TemplateSource, describe, open_template
from detectors.template.impostors import ImpostorModel, TemplateDistance


def at(path: Path) -> TemplateSource:
    return TemplateSource(manifest=path, cache=path.parent)


CHI2 = {"kind": "chi2", "dof": 60.0, "scale": 0.1}
RED = np.zeros((112, 112, 3), np.uint8) + np.array([200, 100, 50], np.uint8)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [200, 100, 50]),
        ({"output": "template"}, [200, 100, 50]),
        ({"input": {"colour": "bgr"}}, [50, 100, 200]),
        ({"input": {"mean": [127.5] * 3, "scale": 0.0078125}}, [0.56640625, -0.21484375, -0.60546875]),
        ({"input": {"mean": [10.0, 20.0, 30.0], "scale": 2.0, "colour": "bgr"}}, [80, 160, 340]),
        ({"normalise": True}, np.array([4, 2, 1]) / np.sqrt(21)),
    ],
)
def test_network_is_fed_and_read_as_told(manifest, layout, changes, expected):
    vector = open_template(at(manifest(layout=layout, **changes))).embed(RED)
    assert vector.dtype == np.float32
    assert vector == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("place", [{"genuine_threshold": 0.4}, {"calibration": CHI2 | {"genuine_threshold": 0.4}}])
def test_specification_follows_the_manifest(manifest, place):
    path = manifest(**{"calibration": CHI2, **place})
    spec, file = describe(at(path))
    assert (spec.name, spec.version, spec.licence, spec.dimension) == ("tiny", "1", "CC0-1.0", 3)
    assert (spec.distance, spec.genuine_threshold) == (TemplateDistance.COSINE, 0.4)
    assert spec.impostors == ImpostorModel(dof=60.0, scale=0.1, distance=TemplateDistance.COSINE)
    assert file == path.parent / "tiny.onnx"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"distance": "euclidean"}, False),
        ({"normalise": True}, False),
        ({"output": "template"}, False),
        ({"input": {"colour": "bgr"}}, False),
        ({"input": {"mean": [1.0, 0.0, 0.0]}}, False),
        ({"input": {"scale": 0.5}}, False),
        ({"chip": {"landmarks": [[33], [263], [1], [61], [291]]}}, False),
        ({"calibration": CHI2, "genuine_threshold": 0.4, "licence": "MIT"}, True),
    ],
)
def test_another_feeding_is_another_model(manifest, changes, same):
    """Templates of the two must never be compared; what changes no template keeps the space."""
    before, _ = describe(at(manifest()))
    after, _ = describe(at(manifest(**changes)))
    assert before.sha256 == after.sha256
    assert (before.space_sha256 == after.space_sha256) is same


def test_other_sides_need_own_points(manifest):
    points = [[30.0, 40.0], [66.0, 40.0], [48.0, 60.0], [34.0, 78.0], [62.0, 78.0]]
    model = open_template(at(manifest(side=96, chip={"points": points})))
    assert model.spec.chip.side == 96
    with pytest.raises(ValueError, match="a chip is uint8"):
        model.embed(RED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unknown": 1}, "unknown"),
        ({"name": "two words"}, "name"),
        *(({"file": file}, "file") for file in ("../elsewhere.onnx", "/etc/passwd")),
        *(({"sha256": wrong}, "sha256") for wrong in ("ab", None)),
        ({"licence": ""}, "licence"),
        ({"dimension": 4096}, "dimension"),
        ({"distance": "manhattan"}, "distance"),
        ({"genuine_threshold": -1.0}, "genuine_threshold"),
        ({"input": {"scale": 0.0}}, "scale"),
        ({"input": {"mean": [1.0, 2.0]}}, "mean"),
        ({"input": {"colour": "grey"}}, "colour"),
        ({"input": {"layout": "chw"}}, "layout"),
        *(({"chip": {"points": points}}, "points") for points in ([[1.0, 2.0]] * 4, [[1.0, 1e6]] * 5)),
        *(({"chip": {"landmarks": [[1], [2], [3], [4], group]}}, "landmarks") for group in ([478], [])),
        ({"calibration": CHI2 | {"kind": "beta"}}, "kind"),
        ({"calibration": CHI2 | {"dof": -1.0}}, "dof"),
        ({"calibration": CHI2 | {"genuine_threshold": 0.4}, "genuine_threshold": 0.4}, "twice"),
        ({"side": 96}, "points"),
    ],
)
def test_mistakes_are_named(manifest, changes, words):
    with pytest.raises(TemplateModelUnusable, match=words):
        describe(at(manifest(**changes)))


FIT = '[calibration]\nkind = "chi2"\ndof = 60.0\nscale = 0.1\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("built_in = false\n" + FIT + "genuine_threshold = 0.5", "built_in"),
        ("built_in = true\n" + FIT, "genuine_threshold"),
        ("built_in = true", "calibration"),
        ("built_in = true\ndimension = 128\n" + FIT + "genuine_threshold = 0.5", "dimension"),
    ],
)
def test_an_own_calibration_is_whole(tmp_path, text, words):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(TemplateModelUnusable, match=words):
        describe(at(path))


def test_documented_example_is_a_manifest(tmp_path):
    document = Path(__file__).resolve().parents[4] / "docs" / "ABUSE.md"
    (example,) = re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "arcface.toml"
    path.write_text(example)
    spec, _ = describe(at(path))
    assert (spec.name, spec.dimension, spec.genuine_threshold) == ("arcface", 512, 0.6)
    assert spec.impostors is not None


def test_files_that_are_no_manifest(tmp_path):
    path = tmp_path / "model.toml"
    for text in (None, b"\xff\xfe", b"a = ", b"x = 1\n" * MAX_MANIFEST_BYTES):
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(TemplateModelUnusable):
            describe(at(path))


def test_other_files_are_refused(manifest):
    path = manifest()
    file = path.parent / "tiny.onnx"
    file.write_bytes(file.read_bytes() + b"\x00")
    with pytest.raises(TemplateModelUnusable, match="SHA-256"):
        open_template(at(path))
    file.unlink()
    with pytest.raises(TemplateModelUnusable, match="not there"):
        open_template(at(path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *(({"onnx": onnx}, "does not load") for onnx in (b"", b"not a network", b"\x08\x08" * 100)),
        ({"dimension": 4}, "3 numbers, not 4"),
        ({"layout": "nhwc", "input": {"layout": "nchw"}}, "can't be fed as the manifest says"),
        ({"output": "other"}, "no output"),
    ],
)
def test_unfit_networks_are_refused(manifest, changes, words):
    with pytest.raises(ValueError, match=words):
        open_template(at(manifest(**changes)))


def test_answers_without_direction_are_refused(manifest):
    with pytest.raises(ValueError, match="no template"):
        open_template(at(manifest())).embed(np.zeros_like(RED))
