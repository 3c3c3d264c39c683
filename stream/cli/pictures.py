"""Picture files a user names: a file is taken as it is, a folder gives the pictures directly in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


def pictures(paths: Iterable[Path]) -> list[Path]:
    """Files in the order named, those of a folder by name. Wrong use if there is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            found.append(path)
    if not found:
        raise typer.BadParameter("no JPEG, PNG, WebP or BMP files there")
    return found
