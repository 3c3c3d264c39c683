"""Security of the clients' connections: the arguments of each client library, and words for a broker's refusal.

aiokafka logs why a connection failed and raises that none could be made. `why_refused` therefore connects once more to
ask; called after a failure only.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import cache
from pathlib import Path
from typing import Any

import aiokafka.conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.client import collect_hosts
from aiokafka.conn import OAuthAuthenticator, create_conn
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from config.errors import SettingsError
from config.groups.services import KafkaSettings
from config.tls import client_context
from stream.encryption.compact import told_by
from stream.runtime.clock import SYSTEM_CLOCK

#: Right that is lacking -> what it is for.
_KINDS = {
    TopicAuthorizationFailedError: "the topic",
    GroupAuthorizationFailedError: "the consumer group",
    ClusterAuthorizationFailedError: "to write, to any topic",
    TransactionalIdAuthorizationFailed: "the transaction",
}
AUTHORIZATION = tuple(_KINDS)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")

LARGEST_TOKEN_BYTES = 64 * 1024
#: A token that doesn't tell its end is read again after this, where the client wants to know an end.
UNTOLD_END_S = 300.0
#: What asking all addresses may take.
ASK_S = 5.0


class KafkaRefuses(SettingsError):
    """Refusal of a broker that no waiting mends: the login, the mechanism or the rights are wrong."""


class AnsweredTokens(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka is untyped
    """Login by token that reads the broker's answer: aiokafka takes any answer for a success, and then waits for
    answers to requests that the broker refuses."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Called by the client with each answer; None ends the login. A refusal is acknowledged (RFC 7628, 3.2.3)
        before the broker tells it as one."""
        if self._token_sent and payload:
            return b"\x01", True
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Token of OAUTHBEARER from a file, read at every connection: no token is kept, so none is used after its end.

    A broker closes the connection when its token ends (`connections.max.reauth.ms`), and the client connects anew.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    async def token(self) -> str:
        """Called by the client for each connection. Raises KafkaConnectionError for a file without a valid token."""
        return await asyncio.to_thread(self.read)

    def read(self) -> str:
        try:
            with self._file.open("rb") as opened:
                token = opened.read(LARGEST_TOKEN_BYTES + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KafkaConnectionError(f"kafka.sasl_token_file can't be read ({type(error).__name__})") from None
        if not token or len(token) > LARGEST_TOKEN_BYTES or not token.isprintable() or " " in token:
            raise KafkaConnectionError("kafka.sasl_token_file holds no token")
        if (ends := _end_of(token)) is not None and ends <= SYSTEM_CLOCK.now_ms() / 1000:
            raise KafkaConnectionError("the token in kafka.sasl_token_file has ended; is it renewed?")
        return token


def _end_of(token: str) -> float | None:
    """When a JWT ends, as told and unchecked; None for a token of another kind."""
    try:
        return float(told_by(token)["exp"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def client_security(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments for every client of aiokafka; none for the embedded broker. Raises SettingsError."""
    protocol = "PLAINTEXT" if kafka.embedded else kafka.security_protocol
    arguments: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = context(kafka)
    if protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_token_file is not None:
            aiokafka.conn.OAuthAuthenticator = AnsweredTokens  # looked up at each login
            arguments["sasl_oauth_token_provider"] = TokenFile(kafka.sasl_token_file)
        else:
            arguments["sasl_plain_username"] = kafka.sasl_username
            arguments["sasl_plain_password"] = kafka.sasl_password and kafka.sasl_password.get_secret_value()
    return arguments


@cache
def context(kafka: KafkaSettings) -> ssl.SSLContext:
    """TLS context of a process, made once: reading the machine's authorities takes ten milliseconds."""
    return client_context(kafka, "kafka")


def librdkafka_security(kafka: KafkaSettings) -> dict[str, Any]:
    """The same for librdkafka, whose clients the benchmark's load generator uses; plain data, so without
    `librdkafka_token`, which OAUTHBEARER needs too. Raises SettingsError."""
    if kafka.embedded or kafka.security_protocol == "PLAINTEXT":
        return {}
    password, key_password = kafka.sasl_password, kafka.ssl_key_password
    given = {
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": password and password.get_secret_value(),
        "ssl.ca.location": kafka.ssl_cafile and str(kafka.ssl_cafile),
        "ssl.certificate.location": kafka.ssl_certfile and str(kafka.ssl_certfile),
        "ssl.key.location": kafka.ssl_certfile and str(kafka.ssl_keyfile or kafka.ssl_certfile),
        "ssl.key.password": key_password and key_password.get_secret_value(),
        "ssl.endpoint.identification.algorithm": "https" if kafka.ssl_check_hostname else "none",
    }
    return {name: value for name, value in given.items() if value is not None}


def librdkafka_token(file: Path) -> dict[str, Any]:
    """Argument by which a client of librdkafka reads the token of OAUTHBEARER, at login and before the token's end."""

    def token(_config: str) -> tuple[str, float]:
        read = TokenFile(file).read()
        return read, _end_of(read) or SYSTEM_CLOCK.now_ms() / 1000 + UNTOLD_END_S

    return {"oauth_cb": token}


async def why_refused(kafka: KafkaSettings) -> str | None:
    """Why no connection comes about, in words: of TLS, a token file, or a server that can't be reached; None where one
    does. Raises KafkaRefuses where no waiting helps.

    Called when a client found no broker. Asks each address in the settings once, until one connects.
    """
    hosts, security = collect_hosts(kafka.bootstrap_servers, randomize=False), client_security(kafka)
    each_ms = round(1000 * ASK_S / len(hosts))
    told: str | None = None
    for host, port, _ in hosts:
        try:
            connection = await create_conn(host, port, request_timeout_ms=each_ms, **security)
            try:
                # The first request that a listener with a login refuses where none came.
                await connection.send(MetadataRequest([], allow_auto_topic_creation=False))
            finally:
                connection.close()
        except (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError) as error:
            raise KafkaRefuses(_refusal(error, kafka)) from None
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            told = f"{host}:{port}: {_trouble(error, kafka)}"
        else:
            return None
    return told


def lacking(error: BaseException) -> str:
    """Words for a right that the user lacks, with the names of topics or groups where the client tells them."""
    names = sorted(
        name
        for told in error.args
        for name in ([told] if isinstance(told, str) else told if isinstance(told, set | frozenset | list) else [])
        if isinstance(name, str) and _NAME.fullmatch(name)
    )
    kind = next(word for kind, word in _KINDS.items() if isinstance(error, kind))
    return (
        f"kafka: the broker refuses this user {kind}{f' {names[0]}' if names else ''} ({type(error).__name__}); "
        "the rights that are needed: liveness topics acls"
    )


def _refusal(error: BrokerResponseError, kafka: KafkaSettings) -> str:
    """Words of a refused login. The broker's own are left out: no text of a stranger reaches a log."""
    if isinstance(error, SaslAuthenticationFailed):
        if kafka.sasl_token_file is not None:
            return "kafka.sasl_token_file: the broker refuses the token"
        return "kafka.sasl_username, kafka.sasl_password: the broker refuses this user with this password"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"kafka.sasl_mechanism: the broker's listener doesn't offer {kafka.sasl_mechanism}"
    return f"kafka.security_protocol: the broker's listener has no login ({kafka.security_protocol})"


def _trouble(error: BaseException, kafka: KafkaSettings) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate isn't accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {_tls_words(str(error.reason).lower().replace('_', ' '))}"
    if isinstance(error, KafkaConnectionError) and error.args and "sasl_token_file" in str(error.args[0]):
        return str(error.args[0])
    if isinstance(error, ValueError):  # raised by the client for a server that doesn't know the password itself
        return "the server's side of the login is wrong: is this the broker?"
    closed = isinstance(error, KafkaConnectionError | ConnectionResetError | asyncio.IncompleteReadError)
    if closed and kafka.security_protocol.endswith("SSL"):
        wants = f"is this its {kafka.security_protocol} listener, and ssl_certfile the client certificate it wants?"
        return f"the server hung up during the TLS handshake or login; {wants}"
    if closed or isinstance(error, TimeoutError):
        return f"no answer to {kafka.security_protocol}; does this listener want another kafka.security_protocol?"
    return type(error).__name__


def _tls_words(reason: str) -> str:
    if reason in ("wrong version number", "record layer failure"):
        return f"the server doesn't speak it at this port ({reason})"
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return f"the server doesn't accept this client's certificate ({reason})"
    return reason
