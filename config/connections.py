"""Connections to Kafka and Redis: TLS and logins, and the combinations that can't work or would give a secret away.

Names are Kafka's own. What switches a check off is a setting of its own, which a worker says at its start
(`weakened`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from config.legal_values import Group

#: Options that the client library would take from an address -> the setting to use: one place, checked at the start.
IN_AN_ADDRESS = {
    "ssl_ca_certs": "LIVENESS_REDIS__SSL_CAFILE",
    "ssl_ca_path": "LIVENESS_REDIS__SSL_CAFILE",
    "ssl_ca_data": "LIVENESS_REDIS__SSL_CAFILE",
    "ssl_certfile": "LIVENESS_REDIS__SSL_CERTFILE",
    "ssl_keyfile": "LIVENESS_REDIS__SSL_KEYFILE",
    "ssl_password": "LIVENESS_REDIS__SSL_KEY_PASSWORD",
    "ssl_check_hostname": "LIVENESS_REDIS__SSL_CHECK_HOSTNAME",
    "ssl_cert_reqs": "LIVENESS_REDIS__SSL_VERIFY",
}

#: An empty variable is an unset one, as compose files write them.
_Text = Annotated[str | None, BeforeValidator(lambda value: value or None)]
_Secret = Annotated[SecretStr | None, BeforeValidator(lambda value: value or None)]
_File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


class TlsSettings(Group):
    """Certificates of a connection: whom to trust, and who this client is."""

    ssl_cafile: _File = None
    """Certificates (PEM) of the authorities that are trusted, in place of the machine's own."""
    ssl_certfile: _File = None
    """This client's certificate (PEM), with those between it and its authority, for mutual TLS."""
    ssl_keyfile: _File = None
    """Its private key (PEM), unless the certificate's file holds the key too."""
    ssl_key_password: _Secret = None
    """Password of the private key."""
    ssl_check_hostname: bool = True
    """The server's certificate must be for the address that was connected to; false is said at the start."""

    def _files_at_fault(self) -> Iterator[str]:
        if self.ssl_keyfile and not self.ssl_certfile:
            yield "ssl_keyfile: there is no ssl_certfile that belongs to the key"
        if self.ssl_key_password and not self.ssl_certfile:
            yield "ssl_key_password: there is no ssl_certfile whose key could need the password"

    def _set(self, prefix: str) -> list[str]:
        """Names of the fields with that prefix that differ from their defaults."""
        return [
            name
            for name, field in type(self).model_fields.items()
            if name.startswith(prefix) and getattr(self, name) != field.default
        ]


class KafkaSecurity(TlsSettings):
    """Security of every connection to Kafka, the embedded broker's excepted."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """PLAINTEXT, SSL (TLS), SASL_SSL (TLS and a login), or SASL_PLAINTEXT, which also needs allow_sasl_plaintext."""
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None,
        BeforeValidator(lambda value: value or None),
    ] = None
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."""
    sasl_username: _Text = Field(None, max_length=256)
    """User of PLAIN and SCRAM."""
    sasl_password: _Secret = None
    """Password of PLAIN and SCRAM."""
    sasl_token_file: _File = None
    """File with the token of OAUTHBEARER, read at every connection, so that a renewed token is used."""
    allow_sasl_plaintext: bool = False
    """Also log in without TLS, where anybody on the way reads passwords and records; said at the start."""

    @model_validator(mode="after")
    def _check_kafka(self) -> Self:
        if fault := next(self._kafka_faults(), None):
            raise ValueError(fault)
        return self

    def _kafka_faults(self) -> Iterator[str]:
        yield from self._files_at_fault()
        protocol = self.security_protocol
        if not protocol.endswith("SSL") and (unused := self._set("ssl_")):
            yield f"{unused[0]}: security_protocol {protocol} has no TLS; did you mean SSL or SASL_SSL?"
        if not protocol.startswith("SASL") and (unused := self._set("sasl_")):
            yield f"{unused[0]}: security_protocol {protocol} has no login; did you mean SASL_SSL?"
        if protocol.startswith("SASL"):
            yield from self._login_faults()
        if protocol == "SASL_PLAINTEXT" and not self.allow_sasl_plaintext:
            yield "security_protocol: SASL_PLAINTEXT logs in without TLS; use SASL_SSL, or set allow_sasl_plaintext"

    def _login_faults(self) -> Iterator[str]:
        if self.sasl_mechanism is None:
            yield f"sasl_mechanism: security_protocol {self.security_protocol} needs one"
        elif self.sasl_mechanism == "OAUTHBEARER":
            if self.sasl_token_file is None:
                yield "sasl_token_file: OAUTHBEARER needs the file with the token"
            if self.sasl_username or self.sasl_password:
                yield "sasl_username: OAUTHBEARER has no user or password, the token says who this is"
        else:
            if not self.sasl_username:
                yield f"sasl_username: {self.sasl_mechanism} needs a user"
            if not self.sasl_password:
                yield f"sasl_password: {self.sasl_mechanism} needs a password"
            if self.sasl_token_file:
                yield f"sasl_token_file: {self.sasl_mechanism} has no token"

    def weakened(self) -> list[str]:
        """Settings by which these connections are less than checked, for the log at the start."""
        unchecked = ["kafka.ssl_check_hostname"] if not self.ssl_check_hostname else []
        return [*unchecked, *(["kafka.allow_sasl_plaintext"] if self.security_protocol == "SASL_PLAINTEXT" else [])]


class RedisSecurity(TlsSettings):
    """Security of every connection to Redis. TLS is in the address: rediss://."""

    username: _Text = Field(None, max_length=256)
    """ACL user, unless the address names one."""
    password: _Secret = None
    """Password, unless the address has one."""
    ssl_verify: bool = True
    """The server's certificate is checked; false is said at the start: anybody on the way can then be the server."""

    def weakened(self) -> list[str]:
        """Settings by which these connections are less than checked, for the log at the start."""
        if not self.ssl_verify:
            return ["redis.ssl_verify"]
        return [] if self.ssl_check_hostname else ["redis.ssl_check_hostname"]

    def _redis_faults(self, url: str) -> Iterator[str]:
        address = urlsplit(url)
        yield from self._files_at_fault()
        if address.scheme != "rediss" and (unused := self._set("ssl_")):
            yield f"{unused[0]}: the address has no TLS; did you mean rediss://?"
        options = parse_qs(address.query).keys()
        for name in sorted(options & IN_AN_ADDRESS.keys()):
            yield f"url: give {name} as {IN_AN_ADDRESS[name]}, not in the address"
        if any(name.startswith("ssl_") for name in options):
            yield "url: an ssl_ option in the address has no setting here, and would have no effect"
        if (self.username or self.password) and ("@" in address.netloc or options & {"username", "password"}):
            yield "password: the address names a user or password too; give them in one place"
        if self.username and not self.password:
            yield "password: the user has none"
