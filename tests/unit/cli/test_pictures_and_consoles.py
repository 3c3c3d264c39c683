"""Pictures of a folder by their bytes, and consoles that aren't UTF-8."""

from __future__ import annotations

import io
import os
import sys

import pytest
import typer
from typer.testing import CliRunner

from stream.cli import app, check, main
from stream.cli.pictures import pictures
from tests.unit.stream.builders import IMAGE, OTHER_IMAGE
from tests.unit.stream.evaluation.builders import PoolInProcess
from tests.unit.stream.evaluation.picture_reader import picture

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


#: A name that the consoles below can't write.
NAME = "ﬁrst 自撮り 🙂.png"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_console_not_utf8(tmp_path, monkeypatch, encoding):
    photo = tmp_path / NAME
    photo.write_bytes(picture(1.0))
    monkeypatch.setattr(check, "open_pool", lambda *_, **__: PoolInProcess())
    monkeypatch.setattr(sys, "argv", ["liveness", "check", str(photo)])
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding))
    with pytest.raises(SystemExit) as ended:
        main()
    sys.stdout.flush(), sys.stderr.flush()
    shown, said = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
    assert (ended.value.code, "Traceback" in said) == (0, False), said
    assert "confidence" in shown
    assert "####" in shown, "bars of the console's own characters"


def test_expected_address_needs_address(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(IMAGE)
    result = CliRunner().invoke(app, ["submit", str(photo), "--expected-client-ip", "203.0.113.0/24"])
    assert result.exit_code == 2
    assert "needs --client-ip" in result.stderr
