"""The cache of converted models and of Kafka's jars: outside the clone, shared by every clone and run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "LIVENESS_CACHE_DIR"


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """`$LIVENESS_CACHE_DIR`, else `liveness-stream` in the user's cache folder; it need not exist yet.

    Also called by `deploy/local`, before anything is installed: this file imports the standard library alone.
    """
    variables = os.environ if environment is None else environment
    own = variables.get(VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    base = variables.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "liveness-stream"
