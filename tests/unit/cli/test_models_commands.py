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
from detectors.template import built_in, dlib_resnet
from stream import cli

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_in.prepare(tmp_path_factory.mktemp("converted"))


@pytest.fixture
def prepared(cache: Path, converted: Path) -> Path:
    (cache / "models").mkdir(parents=True)
    (cache / "models" / converted.name).symlink_to(converted)
    return cache


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["models", *words])


def document(result: Result) -> dict:  # type: ignore[type-arg]
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout_bytes)


@pytest.mark.parametrize("words", [(), ("list",)])
def test_model_files_listed(words: tuple[str, ...], prepared: Path) -> None:
    listed, in_words = document(run(*words, "--json"))["models"], run(*words).stdout
    assert [model["name"] for model in listed] == [
        *("face_detection_short_range", "face_landmark_with_attention"),
        *("face_detection_full_range", "dlib_face_recognition_resnet"),
    ]
    for model in listed:
        assert model["ready"]
        assert Path(model["path"]).is_file()
        assert model["licence"]
        assert model["sha256"] in in_words
    assert listed[-1]["path"].startswith(str(prepared))


def test_missing_file() -> None:
    result = run("list", "--json")
    assert result.exit_code == 1
    assert [model["ready"] for model in orjson.loads(result.stdout_bytes)["models"]] == [True, True, True, False]
    assert "liveness models prepare" in result.stderr


def test_prepare(cache: Path) -> None:
    (made,) = document(run("prepare", "--json"))["prepared"]
    assert made["sha256"] == dlib_resnet.ONNX_SHA256
    assert Path(made["path"]).is_relative_to(cache)
    assert f"ready: {made['path']}" in run("prepare").stderr


def test_prepare_fails(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    result = run("prepare")
    assert result.exit_code == 1
    assert "can't be prepared" in result.stderr


def test_unusable_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "none.toml"))
    assert isinstance(run("list").exception, SettingsError)


def test_calibration_needs_labels_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("calibrate", str(tmp_path)).exit_code == 2
    (tmp_path / "person_a_1.jpg").touch()
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)
    policy = tmp_path / "policy.toml"
    policy.write_text("[template]\nactive = false\n")
    monkeypatch.setenv("LIVENESS_POLICY_FILE", str(policy))
    assert len(document(run("--json"))["models"]) == 3
    assert isinstance(run("calibrate", str(tmp_path)).exception, SettingsError)


@pytest.fixture
def photographs() -> Path:
    folder = Path(os.environ.get("LIVENESS_TEST_IMAGES", ROOT / "../shared/images"))
    if not list(folder.glob("person_*.jpg")):
        pytest.skip(f"no labelled photographs in {folder}: set LIVENESS_TEST_IMAGES")
    return folder


def test_calibration_gives_shipped_numbers(prepared: Path, photographs: Path, tmp_path: Path) -> None:
    measured = document(run("calibrate", str(photographs), "--json", "--toml", str(tmp_path / "made.toml")))
    assert (measured["people"], measured["pictures"], measured["left_out"]) == (5, 10, {})
    assert max(measured["genuine"]) < measured["proposed_threshold"] < min(measured["impostor"])
    assert all(row["fmr"] == 0 for row in measured["rates"] if row["threshold"] < min(measured["impostor"]))
    made = tomllib.loads((tmp_path / "made.toml").read_text())
    shipped = tomllib.loads((ROOT / "detectors/template/calibration.toml").read_text())
    for name in ("dof", "scale", "genuine_threshold"):
        assert made["calibration"][name] == pytest.approx(shipped["calibration"][name], rel=0.02)
    assert made["provenance"]["model_sha256"] == shipped["provenance"]["model_sha256"]


def test_own_fit_is_used(prepared: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("calibrate", str(photographs), "--toml", str(tmp_path / "own.toml"))
    for words in ("10 pictures of 5 people", "degrees of freedom"):
        assert words in result.stdout
    for_a_manifest = tomllib.loads(result.stdout[result.stdout.index("[calibration]") :])
    assert for_a_manifest["calibration"].keys() == {"genuine_threshold", "kind", "dof", "scale"}
    monkeypatch.setenv("LIVENESS_DETECTION__TEMPLATE_MANIFEST", str(tmp_path / "own.toml"))
    assert document(run("list", "--json"))["models"][-1]["name"] == "dlib_face_recognition_resnet"


def test_left_out_and_deciding_pairs(prepared: Path, photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "nobody").mkdir(parents=True)
    (folder / "nobody" / "wall.png").write_bytes(b"no picture")
    (folder / "holiday.jpg").touch()
    for picture in photographs.glob("person_[ab]_*.jpg"):
        (folder / picture.name).symlink_to(picture.resolve())
    ran, measured = run("calibrate", str(folder)), document(run("calibrate", str(folder), "--json"))
    assert "1 pictures without a label are ignored: holiday.jpg" in ran.stderr
    for words in ("(nobody/wall.png)", "farthest apart: person_", "nearest: person_a", "< 1e-15"):
        assert words in ran.stdout
    assert list(measured["left_out_files"].values()) == [["nobody/wall.png"]]
    assert sum(measured["left_out"].values()) == 1
    assert measured["nearest_impostor"][0].startswith("person_a")
