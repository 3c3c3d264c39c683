"""The two services with TLS, logins and access rights.

The broker has a listener for clients with a login (SASL_SSL: SCRAM, PLAIN, OAUTHBEARER) and one for clients with a
certificate (SSL); a client may do what ACLs grant, and only the admin may do everything. Redis has two users.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path

import kafka_probe
from kafka_broker import CONTROLLER, KafkaBroker, escape_property, read_cluster_id
from lifecycle import CLIENT, Ports
from ports import LOOPBACK
from prerequisites import output_of, say
from processes import ProcessIdentity
from redis_server import RedisServer, ask

ADMIN = "admin"
"""The user who may do everything; the settings that are printed are this user's."""
PRINCIPALS = (
    *("publisher", "worker", "notifier", "detector", "reviewer", "app-server"),
    *("reader", "image-reader", "operator"),
)
"""Users who may do nothing until the admin grants it: `liveness topics acls`."""
MUTUAL = "mutual"
WORKER = "liveness"
"""The user of Redis with the rights of a worker."""

AUDIENCE = "kafka"
KEY_ID = "local"

MUTUAL_PORT = "mutual"
MODULES = "org.apache.kafka.common.security"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
USERS = (ADMIN, *PRINCIPALS)

#: What a worker needs of Redis (deploy/README.md), and the clearing of a benchmark's keys.
WORKER_RIGHTS = """
    +client|setname +select +config|get +info
    +set +get +time +getex +del +expire +pexpire +pexpireat
    +hset +hsetnx +hget +hgetall +hkeys +hdel
    +sadd +srem +smembers +zadd +zrem +zrange +zremrangebyrank +zremrangebyscore +pfadd +pfcount
    +vadd +vsim +vrem +vcard +vgetattr +vrandmember +append +getrange +setrange
    +scan +unlink
"""


def password(folder: Path, user: str) -> str:
    return (folder / "passwords" / user).read_text(encoding="ascii")


class SecureKafkaBroker(KafkaBroker):
    """Broker whose clients log in, and may do what ACLs grant."""

    port_names = (CLIENT, CONTROLLER, MUTUAL_PORT)

    def __init__(self, folder: Path, secrets: Path) -> None:
        super().__init__(folder)
        self._secrets = secrets

    def listeners(self, ports: Ports) -> str:
        """The broker is a client of its own listeners by its certificate, as User:broker."""
        clients = f"SECURE://{LOOPBACK}:{ports[CLIENT]},MUTUAL://{LOOPBACK}:{ports[MUTUAL_PORT]}"
        secrets = escape_property(str(self._secrets))
        return "\n".join(
            (
                f"listeners={clients},CONTROLLER://{LOOPBACK}:{ports[CONTROLLER]}",
                f"advertised.listeners={clients}",
                "listener.security.protocol.map=SECURE:SASL_SSL,MUTUAL:SSL,CONTROLLER:SSL",
                "inter.broker.listener.name=MUTUAL",
                *(f"listener.name.{name}.ssl.client.auth=required" for name in ("mutual", "controller")),
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={secrets}/broker.pem",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={secrets}/authority.pem",
                r"ssl.principal.mapping.rules=RULE:^CN=([^,]+)$/$1/,DEFAULT",
                f"sasl.enabled.mechanisms={','.join(SCRAM)},PLAIN,OAUTHBEARER",
                *self._logins(secrets),
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                f"super.users=User:{ADMIN};User:broker",
                # A refused client is made to wait a little less than by default, for tests.
                "connection.failed.authentication.delay.ms=100",
            )
        )

    def _logins(self, secrets: str) -> tuple[str, ...]:
        users = " ".join(f'user_{user}="{password(self._secrets, user)}"' for user in USERS)
        oauth = "listener.name.secure.oauthbearer.sasl"
        return (
            *(
                f"listener.name.secure.{name.lower()}.sasl.jaas.config={MODULES}.scram.ScramLoginModule required;"
                for name in SCRAM
            ),
            f"listener.name.secure.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule required {users};",
            f"{oauth}.jaas.config={MODULES}.oauthbearer.OAuthBearerLoginModule required;",
            f"{oauth}.server.callback.handler.class={MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            f"{oauth}.oauthbearer.jwks.endpoint.url=file://{secrets}/jwks.json",
            f"{oauth}.oauthbearer.expected.audience={AUDIENCE}",
            # A connection ends with its token.
            "listener.name.secure.oauthbearer.connections.max.reauth.ms=3600000",
        )

    def java_options(self) -> tuple[str, ...]:
        return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self._secrets}/jwks.json",)

    def format_options(self) -> list[str]:
        """Users, in the data folder from the first start on: nobody could log in to add them later."""
        return [
            f"--add-scram={name}=[name={user},password={password(self._secrets, user)}]"
            for name in SCRAM
            for user in USERS
        ]

    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        context = ssl.create_default_context(cafile=str(self._secrets / "authority.pem"))
        context.load_cert_chain(self._secrets / "broker.pem")
        found = kafka_probe.cluster_with_brokers(LOOPBACK, ports[MUTUAL_PORT], context=context)
        return found is not None and found == read_cluster_id(self.data)

    def line(self, ports: Ports) -> str:
        return "\n".join(
            (
                super().line(ports),
                "LIVENESS_KAFKA__SECURITY_PROTOCOL=SASL_SSL",
                "LIVENESS_KAFKA__SASL_MECHANISM=SCRAM-SHA-512",
                f"LIVENESS_KAFKA__SASL_USERNAME={ADMIN}",
                f"LIVENESS_KAFKA__SASL_PASSWORD_FILE={self._secrets}/passwords/{ADMIN}",
                f"LIVENESS_KAFKA__SSL_CAFILE={self._secrets}/authority.pem",
            )
        )


class SecureRedisServer(RedisServer):
    """Redis whose clients log in, over TLS where the program has TLS built in."""

    def __init__(self, folder: Path, secrets: Path) -> None:
        super().__init__(folder)
        self._secrets = secrets
        self._tls = False

    @property
    def _marker(self) -> Path:
        """File that is there while the server's port has TLS: other commands don't look for programs."""
        return self.folder / "tls"

    def prepare(self, ports: Ports) -> None:
        if has_tls(self._server):
            self._marker.touch()
        else:
            self._marker.unlink(missing_ok=True)
            say(f"{self._server} has no TLS built in: Redis asks for a password, but is reached without TLS")
        super().prepare(ports)

    def access(self, ports: Ports) -> str:
        lines = [
            "user default off",
            f"user {ADMIN} on #{self._digest(ADMIN)} ~* &* +@all",
            f"user {WORKER} on #{self._digest(WORKER)} ~* resetchannels {' '.join(WORKER_RIGHTS.split())}",
        ]
        if self._marker.exists():
            server, authority = self._secrets / "redis.pem", self._secrets / "authority.pem"
            lines += ["port 0", f"tls-port {ports[CLIENT]}", f"tls-cert-file {server}", f"tls-key-file {server}"]
            lines += [f"tls-ca-cert-file {authority}", "tls-auth-clients no"]
        return "\n".join(lines) + "\n"

    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        login = f"AUTH {ADMIN} {password(self._secrets, ADMIN)}\r\n".encode()
        context = None
        if self._marker.exists():
            context = ssl.create_default_context(cafile=str(self._secrets / "authority.pem"))
        answer = ask(ports[CLIENT], login + b"PING\r\nINFO server\r\nQUIT\r\n", context=context)
        return answer.startswith("+OK\r\n+PONG\r\n") and f"\r\nprocess_id:{process.pid}\r\n" in answer

    def line(self, ports: Ports) -> str:
        lines = [
            f"LIVENESS_REDIS__USERNAME={WORKER}",
            f"LIVENESS_REDIS__PASSWORD_FILE={self._secrets}/passwords/{WORKER}",
        ]
        if not self._marker.exists():
            return "\n".join((super().line(ports), *lines))
        address = f"LIVENESS_REDIS__URL=rediss://{LOOPBACK}:{ports[CLIENT]}/0"
        return "\n".join((address, *lines, f"LIVENESS_REDIS__SSL_CAFILE={self._secrets}/authority.pem"))

    def _digest(self, user: str) -> str:
        return hashlib.sha256(password(self._secrets, user).encode()).hexdigest()


def has_tls(server: str) -> bool:
    """Whether the program has TLS built in: without a certificate it ends at once either way, and says which way."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    return "Failed finding TLS support" not in output_of([server, "--port", "0", "--tls-port", str(port)])
