"""Picture files a user names: a file is taken as it is, a folder gives the pictures directly in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer
from rich.markup import escape

from detectors.image_format import SNIFF_BYTES, sniff
from stream.cli.console import plain, say

#: Names shown of what is left out of a folder.
MOST_NAMED = 10


def pictures(paths: Iterable[Path]) -> list[Path]:
    """Files in the order named, those of a folder by name. Wrong use if there is none.

    The bytes tell a picture, since browsers and phones give JPEGs many endings; the other files of a folder are named.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path)
        else:
            found.append(path)
    if not found:
        raise typer.BadParameter("no JPEG, PNG, WebP or BMP files there")
    return found


def _in_folder(folder: Path) -> list[Path]:
    seen = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = [path for path in seen if _is_picture(path)]
    left_out = [f"{path.name}/" if path.is_dir() else path.name for path in seen if path not in set(found)]
    if left_out:
        more = f" and {len(left_out) - MOST_NAMED} more" if len(left_out) > MOST_NAMED else ""
        names = ", ".join(left_out[:MOST_NAMED])
        say(escape(plain(f"left out of {folder}, no JPEG, PNG, WebP or BMP file: {names}{more}")))
    return found


def _is_picture(path: Path) -> bool:
    """Whether a regular file begins as a picture; a file that can't be read is none."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return sniff(file.read(SNIFF_BYTES)) is not None
    except OSError:
        return False
