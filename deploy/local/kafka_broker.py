"""The local Kafka broker: jars by Maven, a folder formatted once, one Java process."""

from __future__ import annotations

import base64
import hashlib
import shutil
import string
import uuid
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import ClassVar

import kafka_probe
from build_cache import produce
from lifecycle import CLIENT, Ports, Service
from ports import LOOPBACK
from prerequisites import JAVA_PACKAGE, MissingError, ServicesError, find_java, run_step, say
from processes import ProcessIdentity

from config.cache import cache_folder

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CONTROLLER = "controller"
HEAP = ("-Xms256m", "-Xmx512m")
MAVEN, MAVEN_PACKAGE = "mvn", "maven"


class KafkaBroker(Service):
    """Apache Kafka in KRaft mode, broker and controller in one process."""

    name = "kafka"
    port_names: ClassVar[tuple[str, ...]] = (CLIENT, CONTROLLER)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._java = ""
        self._libs = Path()

    @property
    def config(self) -> Path:
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def find_programs(self) -> None:
        self._java = find_java()
        self._libs = broker_libs()

    def prepare(self, ports: Ports) -> None:
        template = string.Template((HERE / "server.properties.template").read_text(encoding="utf-8"))
        filled = template.substitute(
            listeners=self.listeners(ports),
            controller_port=ports[CONTROLLER],
            data_folder=escape_property(str(self.data)),
        )
        self.config.write_text(filled, encoding="ascii")
        if read_cluster_id(self.data) is None:
            self._format()

    def command(self) -> list[str]:
        crash = f"-XX:ErrorFile={self.folder / 'java-crash-%p.log'}"
        # A broker out of memory shall end, not go on half alive.
        options = (*HEAP, *self.java_options(), "-XX:+ExitOnOutOfMemoryError", crash)
        return [*self._java_command(), *options, "kafka.Kafka", str(self.config)]

    def listeners(self, ports: Ports) -> str:
        """Lines of the configuration about listeners and who may do what."""
        return "\n".join(
            (
                f"listeners=BROKER://{LOOPBACK}:{ports[CLIENT]},CONTROLLER://{LOOPBACK}:{ports[CONTROLLER]}",
                f"advertised.listeners=BROKER://{LOOPBACK}:{ports[CLIENT]}",
                "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name=BROKER",
            )
        )

    def java_options(self) -> tuple[str, ...]:
        """Options of the broker's Java machine beside those of every broker here."""
        return ()

    def format_options(self) -> list[str]:
        """Options of the step that formats a data folder, beside those of every broker here."""
        return []

    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        """The cluster id in the answer proves that it is this broker, not another on its port."""
        found = kafka_probe.cluster_with_brokers(LOOPBACK, ports[CLIENT])
        return found is not None and found == read_cluster_id(self.data)

    def line(self, ports: Ports) -> str:
        return f"LIVENESS_KAFKA__BOOTSTRAP_SERVERS={LOOPBACK}:{ports[CLIENT]}"

    def _java_command(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}"
        return [self._java, "-cp", f"{self._libs}/*", logging, "-Dlog4j2.disableJmx=true"]

    def _format(self) -> None:
        """Write the cluster id into the data folder, which the broker refuses to do by itself."""
        tool = [*self._java_command(), "kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
        options = ["-t", new_cluster_id(), "-c", str(self.config), *self.format_options()]
        # Quietly: the tool prints what it makes of passwords.
        run_step([*tool, *options], ServicesError(f"Kafka could not prepare {self.data}"), quiet=True)


def broker_libs() -> Path:
    """The folder with the broker's jars; downloads them the first time, needs no network after that."""
    return produce("kafka", _cached_libs, _download_libs)


def missing_packages() -> list[str]:
    """Debian packages that the broker still needs; Maven isn't one of them when the cache holds the jars."""
    packages: list[str] = []
    try:
        find_java()
    except MissingError:
        packages.append(JAVA_PACKAGE)
    if _cached_libs() is None and shutil.which(MAVEN) is None:
        packages.append(MAVEN_PACKAGE)
    return packages


def kafka_version() -> str:
    """The version pinned in pom.xml, its only place."""
    found = ElementTree.parse(POM).findtext("{*}properties/{*}kafka.version")  # noqa: S314 - our own file
    if not found:
        raise ServicesError(f"{POM} names no kafka.version")
    return found


def _cached_libs() -> Path | None:
    folder = cache_folder() / f"kafka-{kafka_version()}"
    try:
        made_from = (folder / "pom.sha256").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    return folder / "libs" if made_from == _pom_digest() else None


def _pom_digest() -> str:
    return hashlib.sha256(POM.read_bytes()).hexdigest()


def _download_libs(result: Path) -> str:
    if shutil.which(MAVEN) is None:
        raise MissingError(
            f"Downloading Kafka's jars needs {MAVEN}, not found on PATH. On Debian: apt-get install {MAVEN_PACKAGE}"
        )
    version = kafka_version()
    say(f"downloading the jars of Kafka {version} with Maven (once, about a minute)")
    run_step(
        [
            *(MAVEN, "--quiet", "--batch-mode", "--no-transfer-progress", "--strict-checksums"),
            "-Dstyle.color=never",
            *("--file", str(POM), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={result / 'libs'}"),
        ],
        MissingError(
            "Maven could not get Kafka's jars (its messages are above). It uses the repository access "
            "configured on this machine: the network, or a mirror in Maven's settings.xml"
        ),
    )
    (result / "pom.sha256").write_text(_pom_digest(), encoding="ascii")
    return f"kafka-{version}"


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form; not with a leading dash, which its tool takes for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def read_cluster_id(data: Path) -> str | None:
    """The id a data folder was formatted with, None when it isn't formatted."""
    try:
        lines = (data / "meta.properties").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    ids = [line.removeprefix("cluster.id=").strip() for line in lines if line.startswith("cluster.id=")]
    return ids[0] if ids else None


def escape_property(value: str) -> str:
    """A value as Java reads it from a .properties file: Latin-1 with escapes."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)
