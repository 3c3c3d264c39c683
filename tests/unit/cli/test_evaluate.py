"""`liveness evaluate`: what is printed, written and answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from stream import cli
from stream.evaluation import analysing
from tests.unit.stream.evaluation.builders import PoolInProcess
from tests.unit.stream.evaluation.picture_reader import picture

PICTURES = {
    "bona_fide/anna_1.jpg": picture(0.9),
    "bona_fide/ben_1.jpg": picture(0.58),
    "bona_fide/ben_2.jpg": b"no picture",
    "attack/print/anna_1.jpg": picture(0.7),
    "attack/mask/\x1b[31mred\nline.jpg": picture(0.2),
    "attack/mask/notes.txt": b"notes",
}


@pytest.fixture(autouse=True)
def read_by_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyses in this process; `test_analysing.py` has slots."""
    monkeypatch.setattr(analysing, "open_pool", lambda *_, **__: PoolInProcess())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in PICTURES.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "set"


def run(place: Path, *words: str) -> Result:
    out = place.parent / "out"
    return CliRunner().invoke(cli.app, ["evaluate", str(place), "--out", str(out), *words])


def test_json_and_text(folder: Path) -> None:
    ran = run(folder, "--json")
    assert ran.exit_code == 0, ran.output
    printed: dict[str, Any] = orjson.loads(ran.stdout_bytes)
    assert orjson.loads((folder.parent / "out/evaluation.json").read_bytes()) == printed
    assert printed["summary"]["apcer_species"] == "print"
    assert (printed["summary"]["bpcer_counts"], printed["summary"]["bpnrr_counts"]) == ([1, 2], [1, 3])
    assert {each["path"]: each["verdict"] for each in printed["pictures"]} == {
        "bona_fide/anna_1.jpg": "LIVE",
        "bona_fide/ben_1.jpg": "INCONCLUSIVE",
        "bona_fide/ben_2.jpg": "INCONCLUSIVE",
        "attack/print/anna_1.jpg": "LIVE",
        "attack/mask/\x1b[31mred\nline.jpg": "SPOOF",
    }
    text = run(folder)
    assert text.exit_code == 0, text.output
    for words in ("set: 5 pictures", "APCER 100.0% [2.5%, 100.0%] (1 of 1)", "UNSUPPORTED_FORMAT", "notes.txt"):
        assert words in text.stdout
    assert "\x1b" not in text.stdout
    assert "attack/mask/\ufffd[31mred\ufffdline.jpg" in text.stdout


def test_unreadable_picture(folder: Path) -> None:
    (folder.parent / "list.csv").write_text("path,label\nset/bona_fide/anna_1.jpg,bona_fide\nset/gone.jpg,attack\n")
    ran = run(folder.parent / "list.csv", "--json")
    assert ran.exit_code == 1
    printed = orjson.loads(ran.stdout_bytes)
    assert (printed["summary"]["attacks"], printed["summary"]["bpcer_counts"]) == (0, [0, 1])
    assert [each["path"] for each in printed["left_out"]] == ["set/gone.jpg"]
    assert "could not be read" in ran.stderr


@pytest.mark.parametrize("words", [["--out", "/dev/null/x"], ["--policy", "/nowhere.toml"]])
def test_wrong_use(words: list[str], folder: Path) -> None:
    assert run(folder, *words).exit_code == 2
    (folder.parent / "other").mkdir()
    assert "no pictures there" in run(folder.parent / "other").stderr


def test_comparison(folder: Path) -> None:
    """A stricter policy refuses the print, and a person with it."""
    old, new = folder.parent / "old.toml", folder.parent / "new.toml"
    old.write_text('name = "old"\n')
    new.write_text('name = "new"\n[parameters]\nlive_threshold = 0.74\n')
    printed = orjson.loads(run(folder, "--compare", str(old), str(new), "--json").stdout_bytes)
    assert {each["path"]: (each["a"], each["b"], each["mended"]) for each in printed["turned"]} == {
        "bona_fide/ben_1.jpg": ("INCONCLUSIVE", "SPOOF", False),
        "attack/print/anna_1.jpg": ("LIVE", "INCONCLUSIVE", True),
    }
    assert [printed[policy]["species"]["print"]["apcer"] for policy in "ab"] == [1.0, 0.0]
    assert orjson.loads((folder.parent / "out/comparison.json").read_bytes()) == printed
    text = run(folder, "--compare", str(old), str(new)).stdout
    for words in ("2 of 5 verdicts turn: 1 for the better, 1 for the worse", "attack/print/anna_1.jpg", "APCER, print"):
        assert words in text
    assert run(folder, "--compare", str(old), str(new), "--policy", str(new)).exit_code == 2


def test_calibration(folder: Path) -> None:
    """The file proposed is a policy, and one source of attacks is too little."""
    for source, liveness in (("cam", 0.9), ("phone", 0.8)):
        (folder / f"bona_fide/{source}.jpg").write_bytes(picture(liveness))
        (folder / f"attack/print/{source}.jpg").write_bytes(picture(liveness - 0.5))
    ran = run(folder, "--calibrate", "--bpcer", "0.3", "--json")
    assert ran.exit_code == 0, ran.output
    proposed, out = orjson.loads(ran.stdout_bytes), folder.parent / "out"
    # Of four people one may be refused: from 0.8, or 0.58 once either source of the others is left out (anna and cam
    # have the same bytes): 0.8 less the root of 2/3 of the squared distances from their mean.
    assert proposed["live_bound"] == pytest.approx(0.8 - 2 / 3 * (0.8 - 0.58), abs=1e-5)
    assert orjson.loads((out / "calibration.json").read_bytes()) == proposed
    printed = orjson.loads(run(folder, "--policy", str(out / "policy.toml"), "--json").stdout_bytes)
    assert printed["policy"]["hash"] == proposed["policy"]["hash"]
    assert printed["summary"]["bpcer_counts"] == [1, 4]
    assert "On sources left out of the fit" in run(folder, "--calibrate").stdout
    (folder.parent / "list.csv").write_text("path,label\nset/bona_fide/cam.jpg,bona_fide\n")
    assert run(folder.parent / "list.csv", "--calibrate").exit_code == 1


def test_policy(folder: Path) -> None:
    strict = folder.parent / "strict.toml"
    strict.write_text('name = "strict"\n[parameters]\nlive_threshold = 0.72\n')
    printed = orjson.loads(run(folder, "--policy", str(strict), "--json").stdout_bytes)
    assert printed["policy"]["name"] == "strict"
    assert printed["summary"]["apcer_counts"] == [0, 1]
