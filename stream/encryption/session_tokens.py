"""Session tokens: JWT (RFC 7519) in a compact JWS (RFC 7515), signed with EdDSA over Ed25519 (RFC 8037).

Every byte is hostile until the signature is right. The algorithm is fixed, not taken from the header, and the header
holds nothing but algorithm, type and key id: neither a key of the sender's nor a weaker algorithm is ever tried (RFC
8725, 3.1 and 3.11). Times are compared with the time of the submission, which the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from stream.encryption.compact import base64url, from_base64url, object_in, told_by
from stream.encryption.key_folder import SessionKeys
from stream.encryption.reviewer_keys import read_public_key

ALGORITHM, TYPE = "EdDSA", "liveness-session+jwt"
#: Characters of a token, and of its header; a signature of 64 bytes has 86.
MAX_TOKEN, MAX_HEADER, SIGNATURE_LENGTH = 4096, 512, 86
#: A token counts so long before it was issued: two brokers' clocks needn't agree.
AHEAD_S = 60
_MS = 1000
_PARTS = 3


class TokenFault(StrEnum):
    """Fault of a token; the value is the reason in a decision."""

    MALFORMED = "session_token_malformed"
    ALGORITHM = "session_token_algorithm"
    UNKNOWN_KEY = "session_token_unknown_key"
    FORGED = "session_token_forged"
    OTHER_INSTALLATION = "session_token_other_installation"
    EXPIRED = "session_token_expired"
    NOT_YET_VALID = "session_token_not_yet_valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """Claims of a token besides its issuer and audience. Times are UTC seconds; `capture_key` is a public JWK,
    `network` the keyed network that the client is expected in."""

    session_id: str
    correlation_id: str
    tenant: str | None
    token_id: str = field(repr=False)
    issued_s: int
    expires_s: int
    capture_key: Mapping[str, str] | None = None
    network: str | None = None


class _Faulty(Exception):
    def __init__(self, fault: TokenFault) -> None:
        super().__init__()
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokens:
    """Tokens of one installation. Pure but for the keys, which change while a worker runs; holds the secrets.

    `signs`: kid of the key that signs new tokens; None: the last by name.
    """

    keys: SessionKeys = field(repr=False)
    issuer: str
    audience: str
    signs: str | None = None

    @property
    def signing_kid(self) -> str:
        """Name of the key for new tokens."""
        kids = self.keys.kids
        return self.signs if self.signs in kids else kids[-1]

    def sign(self, claims: TokenClaims, kid: str) -> str:
        """Token of the claims: the same for the same claims and key. A key that is gone gives way to the present one,
        since nobody would take its tokens."""
        key = self.keys.get(kid) or self.keys.get(self.signing_kid)
        assert key is not None, "a folder without keys ends the start of a worker, and keeps its last keys later"
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
        signed = f"{_packed(header)}.{_packed(self._document(claims))}"
        return f"{signed}.{base64url(key.sign(signed.encode()))}"

    def claims(self, token: str, at_ms: int) -> TokenClaims | TokenFault:
        """Claims of a token that is good at `at_ms` (event time), or why it isn't. Takes 0.1 ms; raises nothing."""
        try:
            claims = self._claims(self._verified(token))
        except _Faulty as error:
            return error.fault
        except ValueError:
            return TokenFault.MALFORMED
        if at_ms >= claims.expires_s * _MS:
            return TokenFault.EXPIRED
        return TokenFault.NOT_YET_VALID if at_ms < (claims.issued_s - AHEAD_S) * _MS else claims

    def _verified(self, token: str) -> dict[str, Any]:
        """Payload of a token whose signature is right. Raises _Faulty, and ValueError for one that is malformed."""
        parts = token.split(".", _PARTS)
        if len(token) > MAX_TOKEN or not token.isascii() or len(parts) != _PARTS or len(parts[0]) > MAX_HEADER:
            raise _Faulty(TokenFault.MALFORMED)
        header = object_in(parts[0])
        if header.get("alg") != ALGORITHM:
            raise _Faulty(TokenFault.ALGORITHM)
        if header.keys() != {"alg", "typ", "kid"} or header["typ"] != TYPE or not isinstance(header["kid"], str):
            raise _Faulty(TokenFault.MALFORMED)
        key = self.keys.get(header["kid"])
        if key is None:
            raise _Faulty(TokenFault.UNKNOWN_KEY)
        signature, message = from_base64url(parts[2]), f"{parts[0]}.{parts[1]}".encode()
        if len(parts[2]) != SIGNATURE_LENGTH or not read_public_key(key.public).verifies(message, signature):
            raise _Faulty(TokenFault.FORGED)
        return object_in(parts[1])

    def _document(self, claims: TokenClaims) -> dict[str, Any]:
        document: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": claims.correlation_id,
            "sid": claims.session_id,
            "iat": claims.issued_s,
            "exp": claims.expires_s,
            "jti": claims.token_id,
        }
        further = {"tenant": claims.tenant, "net": claims.network}
        document |= {name: text for name, text in further.items() if text is not None}
        return document if claims.capture_key is None else {**document, "cnf": {"jwk": dict(claims.capture_key)}}

    def _claims(self, document: dict[str, Any]) -> TokenClaims:
        if document.get("iss") != self.issuer or document.get("aud") != self.audience:
            raise _Faulty(TokenFault.OTHER_INSTALLATION)
        try:
            claims = TokenClaims(
                session_id=document["sid"],
                correlation_id=document["sub"],
                tenant=document.get("tenant"),
                token_id=document["jti"],
                issued_s=document["iat"],
                expires_s=document["exp"],
                capture_key=document["cnf"]["jwk"] if "cnf" in document else None,
                network=document.get("net"),
            )
        except (KeyError, TypeError):
            raise _Faulty(TokenFault.MALFORMED) from None
        if type(claims.issued_s) is not int or type(claims.expires_s) is not int:
            raise _Faulty(TokenFault.MALFORMED)
        return claims


def token_id_of(token: str) -> str:
    """Id in a token that is known to be ours, whose signature isn't looked at. Raises ValueError."""
    token_id = told_by(token).get("jti")
    if not isinstance(token_id, str):
        raise ValueError("expected a session token")
    return token_id


def _packed(document: Mapping[str, Any]) -> str:
    return base64url(orjson.dumps(document))
