"""Reviewers' keys: Ed25519 pairs (RFC 8032) that sign commands.

A private key is a file, as a JWK (RFC 8037) or in PEM; a public key is the `x` of a JWK. No error quotes anything of a
file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from joserfc import jwk, jws
from joserfc.errors import JoseError

from stream.encryption.key_files import KID, KeyRefused, document_of, imported, kid_of

CURVE: Final = "Ed25519"
_SIGNATURES = jws.JWSRegistry.algorithms[CURVE]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Private key of a reviewer, or of session tokens. `kid` names the key in commands, audit entries and tokens."""

    kid: str
    key: jwk.OKPKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key, as a file of reviewers has it."""
        return str(self.key.as_dict(private=False)["x"])

    def sign(self, message: bytes) -> bytes:
        """Signature of 64 bytes."""
        return _SIGNATURES.sign(message, self.key)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Public key of a reviewer."""

    key: jwk.OKPKey

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, of this message. Raises nothing, whatever the bytes are."""
        return bool(_SIGNATURES.verify(message, signature, self.key))


def new_signing_key(kid: str) -> SigningKey:
    """A key of one's own, new. Raises KeyRefused for a name that is none."""
    if not KID.fullmatch(kid):
        raise KeyRefused("a kid has 1 to 128 visible ASCII characters")
    return SigningKey(kid, jwk.OKPKey.generate_key(CURVE, parameters={"kid": kid, "use": "sig"}))


def read_signing_key(content: bytes, name: str) -> SigningKey:
    """Private key of a file's content; `name` is the key's id where the key has none. Raises KeyRefused."""
    document = document_of(content)
    key = imported(content if document is None else document, (jwk.OKPKey,), f"an {CURVE} key")
    if not key.is_private or key.curve_name != CURVE:
        raise KeyRefused(f"holds no private {CURVE} key")
    return SigningKey(kid_of(document, name), key)


def read_public_key(x: str) -> PublicKey:
    """Public key of its text. Raises KeyRefused."""
    try:
        return PublicKey(jwk.OKPKey.import_key({"kty": "OKP", "crv": CURVE, "x": x}))
    except (JoseError, ValueError, TypeError):
        raise KeyRefused(f"is no public {CURVE} key: 32 bytes in base64url") from None
