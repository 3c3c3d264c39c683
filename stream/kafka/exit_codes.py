"""Exit codes of a worker's process."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_SETTINGS = 2
EXIT_UNREACHABLE = 3
