"""`liveness models`: what is listed, made ready and measured, and how it ends when something is amiss."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.settings import SettingsError
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
    for name in ("dof", "scale"):
        assert made["impostors"][name] == pytest.approx(shipped["impostors"][name], rel=0.02)
    assert made["provenance"]["model_sha256"] == shipped["provenance"]["model_sha256"]


def test_calibrating_in_words(photographs: Path) -> None:
    run("prepare")
    result = run("calibrate", str(photographs))
    for_a_manifest = tomllib.loads(result.stdout[result.stdout.index("genuine_threshold =") :])
    assert set(for_a_manifest) == {"genuine_threshold", "calibration"}
    assert set(for_a_manifest["calibration"]) == {"kind", "dof", "scale"}
    assert result.exit_code == 0
    assert "10 pictures of 5 people" in result.stdout
    assert "degrees of freedom" in result.stdout
