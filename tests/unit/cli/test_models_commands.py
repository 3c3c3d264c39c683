"""`liveness models`: what is listed, made ready and measured, and how it ends when something is amiss."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.errors import SettingsError
from detectors.template import dlib_resnet
from stream import cli
from stream.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["models", *words])


def document(result: Result) -> dict:  # type: ignore[type-arg]
    return orjson.loads(result.stdout_bytes)


@pytest.mark.parametrize("words", [("--json",), ("list", "--json")])
def test_every_model_file_is_listed(words: tuple[str, ...], cache: Path) -> None:
    assert run("prepare").exit_code == 0
    result = run(*words)
    assert result.exit_code == 0, result.output
    listed = document(result)["models"]
    assert [model["name"] for model in listed] == [
        "face_detection_short_range",
        "face_landmark_with_attention",
        "dlib_face_recognition_resnet",
    ]
    for model in listed:
        assert model["ready"]
        assert Path(model["path"]).is_file()
        assert len(model["sha256"]) == 64
        assert model["licence"]
    assert listed[-1]["path"].startswith(str(cache))


def test_in_words_too(cache: Path) -> None:
    run("prepare")
    for result in (run(), run("list")):
        assert result.exit_code == 0
        assert dlib_resnet.ONNX_SHA256 in result.stdout
        assert str(cache) in result.stdout


def test_a_missing_file_is_a_failure_that_says_what_to_do() -> None:
    result = run("list", "--json")
    assert result.exit_code == 1
    assert [model["ready"] for model in document(result)["models"]] == [True, True, False]
    assert "liveness models prepare" in result.stderr


def test_prepare_says_where(cache: Path) -> None:
    result = run("prepare", "--json")
    assert result.exit_code == 0
    (made,) = document(result)["prepared"]
    assert made["sha256"] == dlib_resnet.ONNX_SHA256
    assert Path(made["path"]).is_relative_to(cache)


def test_prepare_that_fails_is_a_failure(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    result = run("prepare")
    assert result.exit_code == 1
    assert "can't be prepared" in result.stderr


def test_a_manifest_that_can_not_be_used_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "none.toml"))
    assert isinstance(run("list").exception, SettingsError)
    assert callable(main)


def test_switched_off_it_is_neither_listed_nor_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[template]\nactive = false\n")
    monkeypatch.setenv("LIVENESS_POLICY_FILE", str(policy))
    assert len(document(run("--json"))["models"]) == 2
    (tmp_path / "person_a_1.jpg").touch()
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)


def test_calibrating_needs_labels_and_a_model(tmp_path: Path) -> None:
    assert run("calibrate", str(tmp_path)).exit_code == 2
    (tmp_path / "person_a_1.jpg").touch()
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)


@pytest.fixture
def photographs() -> Path:
    folder = Path(os.environ.get("LIVENESS_TEST_IMAGES", ROOT / "../shared/images"))
    if not list(folder.glob("person_*.jpg")):
        pytest.skip(f"no labelled photographs in {folder}: set LIVENESS_TEST_IMAGES")
    return folder


def test_calibrating_on_the_photographs_gives_the_shipped_numbers(photographs: Path, tmp_path: Path) -> None:
    run("prepare")
    result = run("calibrate", str(photographs), "--json", "--toml", str(tmp_path / "made.toml"))
    assert result.exit_code == 0, result.stderr
    measured = document(result)
    assert (measured["people"], measured["pictures"], measured["left_out"]) == (5, 10, {})
    assert max(measured["genuine"]) < measured["proposed_threshold"] < min(measured["impostor"])
    assert all(row["fmr"] == 0 for row in measured["rates"] if row["threshold"] < min(measured["impostor"]))
    made = tomllib.loads((tmp_path / "made.toml").read_text())
    shipped = tomllib.loads((ROOT / "detectors/template/calibration.toml").read_text())
    for name in ("dof", "scale", "genuine_threshold"):
        assert made["calibration"][name] == pytest.approx(shipped["calibration"][name], rel=0.02)
    assert made["provenance"]["model_sha256"] == shipped["provenance"]["model_sha256"]


def test_an_own_fit_of_the_built_in_model_is_used(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("prepare")
    assert run("calibrate", str(photographs), "--toml", str(tmp_path / "own.toml")).exit_code == 0
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "own.toml"))
    listed = run("list", "--json")
    assert listed.exit_code == 0, listed.stderr
    assert document(listed)["models"][-1]["name"] == "dlib_face_recognition_resnet"


def test_who_is_left_out_and_which_pairs_decide_is_named(photographs: Path, tmp_path: Path) -> None:
    run("prepare")
    folder = tmp_path / "mine"
    (folder / "nobody").mkdir(parents=True)
    (folder / "nobody" / "wall.png").write_bytes(b"no picture")
    (folder / "holiday.jpg").touch()
    for picture in photographs.glob("person_[ab]_*.jpg"):
        (folder / picture.name).write_bytes(picture.read_bytes())
    ran = run("calibrate", str(folder))
    assert ran.exit_code == 0, ran.stderr
    assert "(nobody/wall.png)" in ran.stdout
    assert "1 pictures without a label are ignored: holiday.jpg" in ran.stderr
    assert "farthest apart: person_" in ran.stdout
    assert "nearest: person_a" in ran.stdout
    assert "< 1e-15" in ran.stdout
    measured = document(run("calibrate", str(folder), "--json"))
    assert list(measured["left_out_files"].values()) == [["nobody/wall.png"]]
    assert sum(measured["left_out"].values()) == 1
    assert all(name.startswith("person_a") for name in measured["nearest_impostor"][:1])


def test_calibrating_in_words(photographs: Path) -> None:
    run("prepare")
    result = run("calibrate", str(photographs))
    for_a_manifest = tomllib.loads(result.stdout[result.stdout.index("[calibration]") :])
    assert set(for_a_manifest) == {"calibration"}
    assert set(for_a_manifest["calibration"]) == {"genuine_threshold", "kind", "dof", "scale"}
    assert result.exit_code == 0
    assert "10 pictures of 5 people" in result.stdout
    assert "degrees of freedom" in result.stdout
