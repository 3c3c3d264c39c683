"""The release that runs: the package's version, and a digest of its code, since two images may have one version."""

from __future__ import annotations

import hashlib
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
    return f"{number}+{_digest(root)}"


def _digest(root: Path) -> str:
    found = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            found.update(
                file.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest()
            )
    return found.hexdigest()[:DIGITS]
