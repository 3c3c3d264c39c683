"""Commands of the documents, run as a reader would: every fenced block marked `sh run`, block by block; two
documents at once, since most commands keep one core busy.

The demo's portrait stands in for the reader's own photograph. Documents of other folders than these have no such block
(tests/unit/test_documents.py).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from stream.demo import attacks, scenario

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("*.md", "docs/*.md", "deploy/**/*.md", "tests/*.md")
BLOCK = re.compile(r"^```sh run\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SERVICES = ROOT / "deploy" / "local" / "services.py"
SELFIE, DRAWN = ROOT / "selfie.jpg", ROOT / "seen.png"
BLOCK_TIMEOUT_S = 300
AT_ONCE = 2


def main() -> int:
    SELFIE.write_bytes(attacks.camera_photo(attacks.portrait(attacks.decode(scenario.astronaut()))))
    documents = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
    try:
        with ThreadPoolExecutor(AT_ONCE) as documents_at_once:
            ran = sum(documents_at_once.map(run, documents))
    finally:
        SELFIE.unlink(missing_ok=True)
        DRAWN.unlink(missing_ok=True)
    print(f"{ran} blocks of the documents ran as written")
    return 0 if ran else 1


def run(path: Path) -> int:
    """Run a document's blocks one after the other, on services of its own; how many there are."""
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="liveness-readme-") as folder:
        try:
            for block in blocks:
                _run(path, block, {**os.environ, "SERVICES_STATE": folder})
        finally:  # what a block that failed left running
            subprocess.run([sys.executable, SERVICES, "down", "--state", folder], check=True, capture_output=True)
    return len(blocks)


def _run(path: Path, block: str, environment: dict[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c", block]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True, stdout=output, stderr=subprocess.STDOUT
        ) as shell,
    ):
        try:
            code = shell.wait(BLOCK_TIMEOUT_S)
        finally:
            _end_group(shell.pid)
            output.seek(0)
            print(f"--- {path.relative_to(ROOT)}\n{block}{output.read().decode(errors='replace')}", flush=True)
    if code != 0:
        raise SystemExit(f"{path.relative_to(ROOT)}: a block ended with {code}")


def _end_group(group: int) -> None:
    """A block that failed leaves its worker behind, in its shell's process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
