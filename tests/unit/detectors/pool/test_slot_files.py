"""The libraries of a slot write no file: their disk may be full, and what they would keep or send is nobody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from detectors.pool.settings import PoolSettings, slot_environment

ALL = "import onnxruntime, detectors.analysis"


def test_libraries_write_no_file(tmp_path: Path) -> None:
    environment = slot_environment(PoolSettings(), {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    environment = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
    code = f"import sys; sys.path[:] = {sys.path!r}; {ALL}"
    subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
