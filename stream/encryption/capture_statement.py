"""Capture statements: compact JWS (RFC 7515) of a client's own key, Ed25519 (RFC 8037) or ES256 (RFC 7518): what
phones and browsers keep in hardware.

Every byte is hostile. The key is the one that the session's token is bound to, never one of the header; the algorithm
follows from the key, and a header that says another one, or anything besides algorithm, type and key id, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from joserfc import jwk, jws
from pydantic import TypeAdapter

from stream.encryption.capture_claims import CaptureClaims
from stream.encryption.compact import base64url, from_base64url, object_in, told_by
from stream.encryption.key_files import KeyRefused, document_of, imported

#: Characters of a statement and of its header; twelve digests take 1.1 KB.
MAX_STATEMENT, MAX_HEADER = 8 * 1024, 512
_PARTS = 3
_HEADER = frozenset({"alg", "typ", "kid"})
_KINDS: tuple[type[jwk.OKPKey | jwk.ECKey], ...] = (jwk.OKPKey, jwk.ECKey)
#: Curve of a key -> the algorithms its statements may name. EdDSA is the older name of Ed25519 (RFC 9864).
_ALGORITHMS = {"Ed25519": ("EdDSA", "Ed25519"), "P-256": ("ES256",)}
_CLAIMS = TypeAdapter(CaptureClaims)


class StatementForged(Exception):
    """Refusal of a statement: wrong key, algorithm, form or content; which of them is not said."""


@dataclass(frozen=True, slots=True)
class CaptureKey:
    """Key of a client, private or public, that signs or proves capture statements."""

    key: jwk.OKPKey | jwk.ECKey = field(repr=False)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Algorithms that a header may name; the first is for new statements."""
        return _ALGORITHMS[str(self.key.curve_name)]

    @property
    def is_private(self) -> bool:
        """Whether the key can sign."""
        return bool(self.key.is_private)

    @property
    def public(self) -> dict[str, str]:
        """Public members of the key, as a session's creation names them."""
        members = self.key.as_dict(private=False)
        return {name: str(members[name]) for name in ("kty", "crv", "x", "y") if name in members}

    def sign(self, claims: CaptureClaims) -> str:
        """Statement, the compact JWS of claims; the client's side."""
        algorithm = self.algorithms[0]
        header = base64url(orjson.dumps({"alg": algorithm, "typ": "JWS"}))
        signed = f"{header}.{base64url(_CLAIMS.dump_json(claims))}"
        return f"{signed}.{base64url(jws.JWSRegistry.algorithms[algorithm].sign(signed.encode(), self.key))}"

    def claims(self, compact: str) -> CaptureClaims:
        """Claims of a statement that this key has signed. Takes 0.15 ms. Raises StatementForged."""
        parts = compact.split(".", _PARTS)
        if len(compact) > MAX_STATEMENT or not compact.isascii() or len(parts) != _PARTS or len(parts[0]) > MAX_HEADER:
            raise StatementForged
        try:
            algorithm = self._algorithm(object_in(parts[0]))
            message, signature = f"{parts[0]}.{parts[1]}".encode(), from_base64url(parts[2])
            if not jws.JWSRegistry.algorithms[algorithm].verify(message, signature, self.key):
                raise StatementForged
            return _CLAIMS.validate_json(from_base64url(parts[1]))
        except Exception:
            # Whatever a library raises on a stranger's bytes, the answer must be one and the same: forged.
            raise StatementForged from None

    def _algorithm(self, header: dict[str, Any]) -> str:
        named = header["alg"]
        if not isinstance(named, str) or named not in self.algorithms or not header.keys() <= _HEADER:
            raise StatementForged
        return named


def read_capture_key(content: bytes, *, private: bool = False) -> CaptureKey:
    """Key of a file's content (JWK or PEM), or of the JWK in a session's terms. Raises KeyRefused."""
    document = document_of(content)
    key = imported(content if document is None else document, _KINDS, "an Ed25519 or P-256 key")
    if key.curve_name not in _ALGORITHMS:
        raise KeyRefused("is no Ed25519 or P-256 key")
    if private and not key.is_private:
        raise KeyRefused("holds no private key")
    return CaptureKey(key)


def public_jwk(document: Mapping[str, Any]) -> dict[str, str]:
    """Public key of a client, to which a session's token is bound (RFC 7800, `cnf`), as a JWK of its own members alone
    (RFC 7638). A private key is refused: none is published by mistake. Raises KeyRefused, which quotes nothing."""
    names = ("crv", "kty", "x", "y") if document.get("kty") == "EC" else ("crv", "kty", "x")
    kept = {name: document.get(name) for name in names}
    if "d" in document or not all(isinstance(text, str) and len(text) <= 64 for text in kept.values()):
        raise KeyRefused("expected a public JWK of Ed25519 or P-256")
    key = read_capture_key(orjson.dumps(kept)).public
    return {name: key[name] for name in names}


def named_in(token: str) -> tuple[str, str]:
    """Session and nonce that a session's token names, for the client who was given the token: nothing is checked here.
    Raises ValueError for what is no token."""
    try:
        claims = told_by(token)
        return str(claims["sid"]), str(claims["jti"])
    except (KeyError, ValueError):
        raise ValueError("is no session token") from None
