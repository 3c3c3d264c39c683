"""`liveness evaluate` where policies want presentation-attack networks that nobody has fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.policy import LEARNED, SIGNALS
from stream import cli
from stream.evaluation import analysing


@pytest.mark.parametrize(
    "words",
    [
        ["--compare", str(SIGNALS), str(LEARNED)],
        ["--compare", str(LEARNED), str(SIGNALS)],
        ["--policy", str(LEARNED)],
        ["--policy", str(LEARNED), "--calibrate"],
    ],
)
def test_networks_missing(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before any picture is analysed, with the file that wants them and the command that fetches them."""
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(analysing, "analyse", lambda *_, **__: pytest.fail("a picture was analysed"))
    (tmp_path / "set/bona_fide").mkdir(parents=True)
    (tmp_path / "set/bona_fide/anna.jpg").write_bytes(b"\xff\xd8\xff")
    ran = CliRunner().invoke(cli.app, ["evaluate", str(tmp_path / "set"), "--out", str(tmp_path / "out"), *words])
    assert ran.exit_code != 0
    told = f"{ran.stderr}{ran.exception}"
    assert str(LEARNED) in told
    assert "liveness models fetch" in told
    assert not (tmp_path / "out").exists()
