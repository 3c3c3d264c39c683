"""Known vulnerabilities of what is installed: python .ci/audit.py

A finding in the lock file fails. A database that isn't reached, or that knows nothing, is said with the date and fails
nothing: pip-audit itself calls packages that its database doesn't know "no known vulnerabilities".
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: A release with vulnerabilities that every database knows: one that finds none there would find none anywhere.
CANARY = "pillow==8.1.0"
#: Findings that can't be mended and don't touch us, each with a comment that says why.
ACCEPTED: tuple[str, ...] = ()


def main() -> int:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(CANARY + "\n")
        known, why = ask(canary, "--no-deps")
    if not found(known):
        last = why.strip().rpartition("\n")[2] or f"the database has nothing against {CANARY}"
        print(f"NOT AUDITED on {today}: no database of known vulnerabilities is reached from here ({last})")
        return 0
    packages, why = ask(ROOT / "requirements-dev.lock", *(f"--ignore-vuln={each}" for each in ACCEPTED))
    wrong = found(packages) + [f"{each['name']}: {each['skip_reason']}" for each in packages if "skip_reason" in each]
    print(*wrong, why if not packages else "", sep="\n")
    print(f"{len(packages)} packages audited on {today}: {len(wrong) or 'nothing'} found")
    return 1 if wrong or not packages else 0


def ask(requirements: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """pip-audit's answer for each package, and its complaints; no packages where it came to no answer."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner=off", "--format=json"]
    done = subprocess.run([*command, *options, "-r", requirements], capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except ValueError:
        return [], done.stderr


def found(packages: list[dict[str, Any]]) -> list[str]:
    return [
        f"{each['name']} {each['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no release'}"
        for each in packages
        for one in each.get("vulns", ())
    ]


if __name__ == "__main__":
    sys.exit(main())
