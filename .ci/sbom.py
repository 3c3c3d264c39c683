"""The bill of materials (CycloneDX, JSON) of what production installs: python .ci/sbom.py FILE

Each package that requirements.lock names for this platform, with version, hashes, licence and the packages it asks for.
The same lock gives the same bytes; a time is written only where SOURCE_DATE_EPOCH gives one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.license import LicenseExpression
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
#: Identifiers of licences that packages name in words; a name that may mean several ("BSD License") stays a name.
IDENTIFIERS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
}


def main(file: str) -> int:
    text = json.dumps(bill(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"The bill of materials breaks the schema of CycloneDX: {wrong}", file=sys.stderr)
        return 1
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text, encoding="utf-8")
    print(f"{file}: {len(json.loads(text)['components'])} packages")
    return 0


def bill() -> dict[str, Any]:
    locked = entries()
    made: dict[str, Any] = json.loads(
        tool("cyclonedx_py", "requirements", "-", "--pyproject", "pyproject.toml", "--sv", "1.6",
             "--output-reproducible", "--no-validate",
             stdin="\n".join(locked.values()))
    )  # fmt: skip
    of_package = licences(list(locked))
    for component in made["components"]:
        component.pop("description", None)  # the line of the lock, once more
        component["bom-ref"] = component["name"]
        component["licenses"] = [of_package[canonicalize_name(component["name"])]]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    asked = {made["metadata"]["component"]["bom-ref"]: declared} | {name: requires(name) or () for name in locked}
    made["dependencies"] = [
        {"ref": each, "dependsOn": sorted(names(lines) & set(locked))} for each, lines in asked.items()
    ]
    return made


def entries() -> dict[str, str]:
    """Name -> entry of the lock, of each package for this platform."""
    found = {}
    for entry in re.findall(r"^[a-z0-9].*(?:\n    .*)*", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        wanted = Requirement(entry.partition("\\")[0])
        if not wanted.marker or wanted.marker.evaluate():
            found[canonicalize_name(wanted.name)] = entry
    return found


def names(requirements: Iterable[str]) -> set[str]:
    wanted = map(Requirement, requirements)
    return {canonicalize_name(each.name) for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})}


def licences(packages: list[str]) -> dict[str, dict[str, Any]]:
    rows = json.loads(tool("piplicenses", "--format", "json", "--with-system", "--packages", *packages))
    return {canonicalize_name(row["Name"]): licence(row["License"]) for row in rows}


def licence(text: str) -> dict[str, Any]:
    made = LicenseFactory().make_from_string(IDENTIFIERS.get(text, text))
    if isinstance(made, LicenseExpression):
        return {"expression": made.value}
    return {"license": {"id": made.id} if made.id else {"name": made.name}}


def tool(module: str, *options: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *options],
        cwd=ROOT, input=stdin, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
