"""Capture keys: the public key of a client, to which a session token is bound (RFC 7800, `cnf`).

A client that holds the private key can prove later that it made a capture. Ed25519 and P-256, which phones and browsers
keep in hardware; a private key is refused, so that none is published by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwk

from stream.encryption.key_files import KeyRefused

#: Key type and curve -> the members of a public key, and the only ones taken over (RFC 7638).
_MEMBERS = {("OKP", "Ed25519"): ("crv", "kty", "x"), ("EC", "P-256"): ("crv", "kty", "x", "y")}
_KINDS: dict[str, type[jwk.OKPKey | jwk.ECKey]] = {"OKP": jwk.OKPKey, "EC": jwk.ECKey}


def public_jwk(document: Mapping[str, Any]) -> dict[str, str]:
    """Public key as a JWK of its own members alone. Raises KeyRefused, which quotes nothing."""
    members = _MEMBERS.get((str(document.get("kty")), str(document.get("crv"))))
    if members is None or "d" in document:
        raise KeyRefused("expected a public JWK of Ed25519 or P-256")
    kept = {name: document.get(name) for name in members}
    if not all(isinstance(text, str) and len(text) <= 64 for text in kept.values()):
        raise KeyRefused("a member of the JWK is missing or malformed")
    found = {name: str(text) for name, text in kept.items()}
    try:
        _KINDS[found["kty"]].import_key(dict(found))
    except Exception:
        # Whatever a library raises on a stranger's key, its words may quote the key.
        raise KeyRefused("the JWK is no point of its curve") from None
    return found
