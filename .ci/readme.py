"""Run the commands of the documents: every fenced block marked `sh run`, block by block, as a reader would.

The reader's own photograph is stood in for by the demo's portrait.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from stream.demo import attacks, scenario

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "docs/ABUSE.md", "deploy/local/README.md")
BLOCK = re.compile(r"^```sh run\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SELFIE, DRAWN = ROOT / "selfie.jpg", ROOT / "seen.png"
BLOCK_TIMEOUT_S = 300


def main() -> int:
    SELFIE.write_bytes(attacks.camera_photo(attacks.portrait(attacks.decode(scenario.astronaut()))))
    try:
        ran = sum(run(name, block) for name in DOCUMENTS for block in BLOCK.findall((ROOT / name).read_text()))
    finally:
        SELFIE.unlink(missing_ok=True)
        DRAWN.unlink(missing_ok=True)
    print(f"{ran} blocks of the documents ran as written")
    return 0 if ran else 1


def run(name: str, block: str) -> int:
    print(f"--- {name}\n{block}", flush=True)
    subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=ROOT, check=True, timeout=BLOCK_TIMEOUT_S)
    return 1


if __name__ == "__main__":
    sys.exit(main())
