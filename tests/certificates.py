"""Certificates for tests: the authority of deploy/local, a folder of scripts and not a package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))

from certificates import Authority, Issued

__all__ = ["Authority", "Issued"]
