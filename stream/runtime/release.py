"""The release that runs: the package's version, and a digest of its code, since two images may have one version."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("config", "detectors", "abuse", "stream")
ROOT = Path(__file__).parents[2]
DIGITS = 10


def release(root: Path = ROOT) -> str:
    """Version with the code's digest; reads some hundred small files."""
    try:
        number = version("liveness-stream")
    except PackageNotFoundError:  # run from a checkout
        number = "checkout"
    return f"{number}+{code_digest(*(root / package for package in PACKAGES))[:DIGITS]}"


def code_digest(*folders: Path, suffixes: Collection[str] = (".py",)) -> str:
    """Hash (hex) of the files with these suffixes, contents and names below each folder's parent, in order."""
    found = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.suffix in suffixes):
            name = file.relative_to(folder.parent).as_posix()
            found.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
