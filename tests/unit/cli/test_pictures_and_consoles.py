"""Pictures of a folder by their bytes, and consoles that aren't UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stream.cli import app
from stream.cli.pictures import pictures
from stream.demo.scenario import astronaut
from tests.unit.stream.builders import IMAGE, OTHER_IMAGE

ROOT = Path(__file__).resolve().parents[3]
ENDINGS = ("jpg", "jfif", "JPE", "pjpeg", "dib", "jpg_large", "bin")


def test_folder_by_bytes(tmp_path, capsys):
    for ending in ENDINGS:
        (tmp_path / f"selfie-{ending}.{ending}").write_bytes(IMAGE)
    (tmp_path / "selfie").write_bytes(OTHER_IMAGE)
    for name, content in {
        "a.heic.jpg": b"\0\0\0\x1cftypheic",
        "b[red].txt": b"x",
        ".hidden": b"x",
        "empty.png": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "inner").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    assert {path.name for path in pictures([tmp_path])} == {"selfie", *(f"selfie-{e}.{e}" for e in ENDINGS)}
    said = capsys.readouterr().err
    assert "a.heic.jpg, b[red].txt, empty.png, inner/, pipe.jpg" in said
    assert ".hidden" not in said


def test_long_list_cut(tmp_path, capsys):
    for number in range(12):
        (tmp_path / f"{number:02}.txt").write_bytes(b"x")
    with pytest.raises(typer.BadParameter):
        pictures([tmp_path])
    assert "09.txt and 2 more" in capsys.readouterr().err
    assert pictures([tmp_path / "00.txt"]) == [tmp_path / "00.txt"], "a file that is named is taken as it is"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_console_not_utf8(tmp_path, encoding):
    """A picture with a verdict, under a name that the console can't write."""
    photo = tmp_path / "ﬁrst 自撮り 🙂.png"
    photo.write_bytes(astronaut())
    command = [sys.executable, "-m", "stream.cli", "check", str(photo)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    shown = done.stdout.decode(encoding)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert "confidence" in shown
    assert "####" in shown, "bars of the console's own characters"


def test_expected_address_needs_address(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(IMAGE)
    result = CliRunner().invoke(app, ["submit", str(photo), "--expected-client-ip", "203.0.113.0/24"])
    assert result.exit_code == 2
    assert "needs --client-ip" in result.stderr
