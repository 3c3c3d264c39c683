"""Model files on disk: read with their SHA-256 checked, written in a single step."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

MAX_MODEL_BYTES = 1024 * 1024 * 1024


class ModelFileUnusable(ValueError):
    """A model file that is missing, too large, unreadable or not the expected one; the words say which."""


def read_model(file: Path, sha256: str) -> bytes:
    """Contents of a model file whose SHA-256 (lower-case hex) is as expected; raises ModelFileUnusable."""
    try:
        if file.stat().st_size > MAX_MODEL_BYTES:
            raise ModelFileUnusable(f"{file} is too large")
        contents = file.read_bytes()
    except OSError as error:
        words = "is not there" if isinstance(error, FileNotFoundError) else f"can't be read ({type(error).__name__})"
        raise ModelFileUnusable(f"{file} {words}") from None
    if hashlib.sha256(contents).hexdigest() != sha256:
        raise ModelFileUnusable(f"{file} has another SHA-256 than expected")
    return contents


def write_model(target: Path, contents: bytes) -> None:
    """Write a model file in a single step: readers see the whole file or the previous state. Makes the folder;
    raises OSError, after which nothing is left behind. May be repeated."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
