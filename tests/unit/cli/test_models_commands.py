"""`liveness models`: files listed, prepared and calibrated, and exit codes."""

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
def test_model_files_listed(words: tuple[str, ...], cache: Path) -> None:
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


def test_model_files_in_words(cache: Path) -> None:
    run("prepare")
    for result in (run(), run("list")):
        assert result.exit_code == 0
        assert dlib_resnet.ONNX_SHA256 in result.stdout
        assert str(cache) in result.stdout


def test_missing_file() -> None:
    result = run("list", "--json")
    assert result.exit_code == 1
    assert [model["ready"] for model in document(result)["models"]] == [True, True, False]
    assert "liveness models prepare" in result.stderr


def test_prepare(cache: Path) -> None:
    result = run("prepare", "--json")
    assert result.exit_code == 0
    (made,) = document(result)["prepared"]
    assert made["sha256"] == dlib_resnet.ONNX_SHA256
    assert Path(made["path"]).is_relative_to(cache)


def test_prepare_fails(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    result = run("prepare")
    assert result.exit_code == 1
    assert "can't be prepared" in result.stderr


def test_unusable_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "none.toml"))
    assert isinstance(run("list").exception, SettingsError)
    assert callable(main)


def test_template_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[template]\nactive = false\n")
    monkeypatch.setenv("LIVENESS_POLICY_FILE", str(policy))
    assert len(document(run("--json"))["models"]) == 2
    (tmp_path / "person_a_1.jpg").touch()
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)


def test_calibration_needs_labels_and_model(tmp_path: Path) -> None:
    assert run("calibrate", str(tmp_path)).exit_code == 2
    (tmp_path / "person_a_1.jpg").touch()
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)


@pytest.fixture
def photographs() -> Path:
    folder = Path(os.environ.get("LIVENESS_TEST_IMAGES", ROOT / "../shared/images"))
    if not list(folder.glob("person_*.jpg")):
        pytest.skip(f"no labelled photographs in {folder}: set LIVENESS_TEST_IMAGES")
    return folder


def test_calibration_gives_shipped_numbers(photographs: Path, tmp_path: Path) -> None:
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


def test_own_fit_is_used(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("prepare")
    assert run("calibrate", str(photographs), "--toml", str(tmp_path / "own.toml")).exit_code == 0
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "own.toml"))
    listed = run("list", "--json")
    assert listed.exit_code == 0, listed.stderr
    assert document(listed)["models"][-1]["name"] == "dlib_face_recognition_resnet"


def test_left_out_and_deciding_pairs(photographs: Path, tmp_path: Path) -> None:
    run("prepare")
    folder = tmp_path / "mine"
    (folder / "nobody").mkdir(parents=True)
    (folder / "nobody" / "wall.png").write_bytes(b"no picture")
    (folder / "holiday.jpg").touch()
    for picture in photographs.glob("person_[ab]_*.jpg"):
        (folder / picture.name).write_bytes(picture.read_bytes())
    ran = run("calibrate", str(folder))
    assert ran.exit_code == 0, ran.stderr
    assert "1 pictures without a label are ignored: holiday.jpg" in ran.stderr
    for words in ("(nobody/wall.png)", "farthest apart: person_", "nearest: person_a", "< 1e-15"):
        assert words in ran.stdout
    measured = document(run("calibrate", str(folder), "--json"))
    assert list(measured["left_out_files"].values()) == [["nobody/wall.png"]]
    assert sum(measured["left_out"].values()) == 1
    assert all(name.startswith("person_a") for name in measured["nearest_impostor"][:1])


def test_calibration_in_words(photographs: Path) -> None:
    run("prepare")
    result = run("calibrate", str(photographs))
    for_a_manifest = tomllib.loads(result.stdout[result.stdout.index("[calibration]") :])
    assert set(for_a_manifest) == {"calibration"}
    assert set(for_a_manifest["calibration"]) == {"genuine_threshold", "kind", "dof", "scale"}
    assert result.exit_code == 0
    assert "10 pictures of 5 people" in result.stdout
    assert "degrees of freedom" in result.stdout
