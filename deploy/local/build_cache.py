"""Downloads and builds, kept outside the clone so that every clone and every CI run shares them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from service_state import exclusive


def cache_folder() -> Path:
    """`$LIVENESS_CACHE_DIR`, else `liveness-stream` in the user's cache folder."""
    own = os.environ.get("LIVENESS_CACHE_DIR")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "liveness-stream"


def produce(kind: str, find: Callable[[], Path | None], build: Callable[[Path], str]) -> Path:
    """Return what `find` finds; when nothing, let `build` fill an empty folder and move that into place at
    once.

    `build` gets the folder and returns the name it shall have in the cache. A run that breaks off leaves
    nothing that `find` could take for complete, and of two runs at once the second takes what the first has
    built.
    """
    found = find()
    if found is not None:
        return found
    cache = cache_folder()
    with exclusive(cache / f".{kind}.lock"):
        found = find()
        if found is None:
            _build_into(cache, kind, build)
            found = find()
    if found is None:
        raise RuntimeError(f"the {kind} just built isn't found in the cache")
    return found


def _build_into(cache: Path, kind: str, build: Callable[[Path], str]) -> None:
    for left_over in cache.glob(f".new-{kind}-*"):  # of a killed run: we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".new-{kind}-", dir=cache))
    try:
        result = work / "result"
        result.mkdir()
        target = cache / build(result)
        if target.exists():  # incomplete or outdated, or `find` had taken it
            target.rename(work / "replaced")
        result.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
