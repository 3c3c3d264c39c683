"""Starters, one a service tier: each returns services that answer, or raises NotAvailable with the reason."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.services.choice import KAFKA, REDIS, NotAvailable, Services, ServiceTier, Starter

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES_SCRIPT = REPOSITORY / "deploy" / "local" / "services.py"
LOCAL_START_TIMEOUT_S = 300
CONNECT_TIMEOUT_S = 5.0

KAFKA_IMAGE = "apache/kafka:4.3.0"
REDIS_IMAGE = "redis:8"
KAFKA_PORT, REDIS_PORT = 9092, 6379


def starters(environment: Mapping[str, str]) -> dict[ServiceTier, Starter]:
    """A starter for every tier; `environment` is the one the run was started with."""
    return {
        ServiceTier.ADDRESSES: lambda: from_addresses(environment),
        ServiceTier.CONTAINERS: from_containers,
        ServiceTier.LOCAL: from_local_services,
        ServiceTier.EMBEDDED: from_embedded,
    }


def from_addresses(environment: Mapping[str, str]) -> Services:
    missing = [name for name in (KAFKA, REDIS) if not environment.get(name)]
    if missing:
        raise NotAvailable(f"{' and '.join(missing)} not set")
    for server in environment[KAFKA].split(","):
        host, _, port = server.rpartition(":")
        _require_answer("Kafka", host.strip("[]"), int(port))
    url = urlsplit(environment[REDIS])
    if url.scheme == "unix":
        _require_unix_answer("Redis", unquote(url.path))
    else:
        _require_answer("Redis", url.hostname or "", url.port or REDIS_PORT)
    return Services(ServiceTier.ADDRESSES, {name: environment[name] for name in (KAFKA, REDIS)})


def _require_answer(name: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise NotAvailable(f"no {name} answers at {host}:{port} ({type(error).__name__})") from None


def _require_unix_answer(name: str, path: str) -> None:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(path)
    except OSError as error:
        raise NotAvailable(f"no {name} answers at {path} ({type(error).__name__})") from None


def from_containers() -> Services:
    try:
        import docker

        docker.from_env(timeout=5).ping()
    except Exception as error:
        raise NotAvailable(f"no container engine answers ({type(error).__name__})") from None
    started: list[Any] = []

    def close() -> None:
        for container in reversed(started):
            container.stop()

    try:
        kafka = _kafka_container(started)
        redis = _redis_container(started)
    except Exception as error:
        close()
        raise NotAvailable(f"the containers could not be started: {_first_line(error)}") from None
    return Services(ServiceTier.CONTAINERS, {KAFKA: kafka, REDIS: redis}, close)


def _kafka_container(started: list[Any]) -> str:
    """testcontainers' own Kafka class starts another vendor's images only."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    # The broker tells clients its address, so the host's port must be known before it starts.
    port = free_port()
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(KAFKA_PORT, port)
    for name, value in _kafka_variables(port).items():
        container = container.with_env(name, value)
    started.append(container.start())
    wait_for_logs(container, "Kafka Server started", timeout=90)
    return f"127.0.0.1:{port}"


def _kafka_variables(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"HOST://:{KAFKA_PORT},BROKER://:19092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"HOST://127.0.0.1:{port},BROKER://localhost:19092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "HOST:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": "16777216",
        "KAFKA_REPLICA_FETCH_MAX_BYTES": "16777216",
    }


def _redis_container(started: list[Any]) -> str:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    container = DockerContainer(REDIS_IMAGE).with_exposed_ports(REDIS_PORT)
    started.append(container.start())
    wait_for_logs(container, "Ready to accept connections", timeout=60)
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(REDIS_PORT)}/0"


def from_local_services(run: Callable[..., tuple[int, str, str]] | None = None) -> Services:
    """The pair of `make services-up` if it runs, else one of our own, in a folder that goes with the run."""
    run = run or local_services
    code, output, _ = run("status")
    if code == 0:
        return Services(ServiceTier.LOCAL, _settings_in(output))
    folder = Path(tempfile.mkdtemp(prefix="liveness-services-"))

    def close() -> None:
        run("down", folder)
        shutil.rmtree(folder, ignore_errors=True)

    code, output, errors = run("up", folder)
    if code != 0:
        close()
        raise NotAvailable(" ".join(_told(errors)) or f"deploy/local ended with code {code}")
    return Services(ServiceTier.LOCAL, _settings_in(output), close)


def local_services(command: str, state: Path | None = None, *options: str) -> tuple[int, str, str]:
    """deploy/local/services.py: exit code, standard output, standard error."""
    arguments = [sys.executable, str(SERVICES_SCRIPT), command, *options]
    if state is not None:
        arguments += ["--state", str(state)]
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=LOCAL_START_TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def _settings_in(output: str) -> dict[str, str]:
    return dict(re.findall(r"(LIVENESS_[A-Z_]+)=(\S+)", output))


def _told(errors: str) -> list[str]:
    prefix = "services: "
    return [line.removeprefix(prefix) for line in errors.splitlines() if line.startswith(prefix)]


def from_embedded() -> Services:
    from config.errors import SettingsError
    from stream.embedded.session import EmbeddedServices
    from stream.embedded.store import StoreDidNotStart

    try:
        services = EmbeddedServices()
    except (SettingsError, StoreDidNotStart, RuntimeError, OSError) as error:
        raise NotAvailable(_first_line(error)) from None
    return Services(ServiceTier.EMBEDDED, services.environment, services.close)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
