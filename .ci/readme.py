"""Commands of the documents, run as a reader would: every fenced block marked `sh run`, block by block.

The demo's portrait stands in for the reader's own photograph. Documents of other folders than these have no such block
(tests/unit/test_documents.py).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from stream.demo import attacks, scenario

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("*.md", "docs/*.md", "deploy/**/*.md", "tests/*.md")
BLOCK = re.compile(r"^```sh run\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SELFIE, DRAWN = ROOT / "selfie.jpg", ROOT / "seen.png"
BLOCK_TIMEOUT_S = 300


def main() -> int:
    SELFIE.write_bytes(attacks.camera_photo(attacks.portrait(attacks.decode(scenario.astronaut()))))
    documents = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
    try:
        ran = sum(run(path, block) for path in documents for block in BLOCK.findall(path.read_text(encoding="utf-8")))
    finally:
        SELFIE.unlink(missing_ok=True)
        DRAWN.unlink(missing_ok=True)
    print(f"{ran} blocks of the documents ran as written")
    return 0 if ran else 1


def run(path: Path, block: str) -> int:
    print(f"--- {path.relative_to(ROOT)}\n{block}", flush=True)
    command = ["bash", "-euo", "pipefail", "-c", block]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as shell:
        try:
            if shell.wait(BLOCK_TIMEOUT_S) != 0:
                raise SystemExit(f"{path.relative_to(ROOT)}: a block ended with {shell.returncode}")
        finally:
            _end_group(shell.pid)
    return 1


def _end_group(group: int) -> None:
    """A block that failed leaves its worker behind, in its shell's process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
