"""The cache of downloads, outside the clone so that every clone and every CI run shares them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from service_state import exclusive

from config.cache import cache_folder


def produce(kind: str, find: Callable[[], Path | None], build: Callable[[Path], str]) -> Path:
    """The folder that `find` finds; when there is none, a new one that `build` fills, moved into place at once.

    `build` gets an empty folder and returns its name in the cache. A run that breaks off leaves nothing that
    `find` could take for complete, and of two runs at once the second takes what the first has built. Raises
    what `build` raises.
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
