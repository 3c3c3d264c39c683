"""Key files: one key a file, as a JWK (RFC 7517) or in PEM. No error quotes anything of a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from joserfc import jwk

K = TypeVar("K", jwk.RSAKey | jwk.ECKey, jwk.OKPKey, jwk.OKPKey | jwk.ECKey)

CONTENT_ENCRYPTION = "A256GCM"
#: Bits of an RSA key: fewer are unsafe (RFC 7518, 4.3), more cost tens of milliseconds a picture.
RSA_BITS = (2048, 4096)
CURVES = ("P-256", "P-384", "P-521")
#: Bytes of a key file; a private RSA key of 4096 bits takes 3300 in PEM.
MAX_FILE_BYTES = 64 * 1024
KID = re.compile(r"[!-~]{1,128}")


_KINDS: tuple[type[jwk.RSAKey | jwk.ECKey], ...] = (jwk.RSAKey, jwk.ECKey)


class KeyAlgorithm(StrEnum):
    """The two ways to hand over the content key."""

    RSA_OAEP_256 = "RSA-OAEP-256"
    ECDH_ES = "ECDH-ES"


@dataclass(frozen=True, slots=True)
class SelfieKey:
    """Key of encrypted selfies, private or public. `kid` names the key in a JWE's header."""

    kid: str
    algorithm: KeyAlgorithm
    key: jwk.RSAKey | jwk.ECKey = field(repr=False)


class KeyRefused(ValueError):
    """Refusal of a key file; the message says what is wrong, without any text of the file."""


def read_key(content: bytes, name: str, *, private: bool) -> SelfieKey:
    """Key of a file's content; `name` is the key's id where the key has none. Raises KeyRefused."""
    document = document_of(content)
    key = imported(content if document is None else document, _KINDS, "an RSA or EC key")
    if private and not key.is_private:
        raise KeyRefused("holds no private key")
    kid = kid_of(document, name)
    algorithm = _algorithm(key)
    declared = document or {}
    if declared.get("use", "enc") != "enc" or declared.get("alg", algorithm) != algorithm:
        raise KeyRefused(f"its use and alg are not those of a key for {algorithm}")
    return SelfieKey(kid, algorithm, key)


def kid_of(document: dict[str, Any] | None, name: str) -> str:
    """Id of a key in a file of this name. Raises KeyRefused."""
    kid = (document or {}).get("kid", name)
    if not isinstance(kid, str) or not KID.fullmatch(kid):
        raise KeyRefused("its kid must be 1 to 128 visible ASCII characters")
    return kid


def new_key(kid: str, algorithm: KeyAlgorithm) -> SelfieKey:
    """A key of one's own, new, private: RSA of 2048 bits, or P-256."""
    if not KID.fullmatch(kid):
        raise KeyRefused("a kid has 1 to 128 visible ASCII characters")
    names: jwk.KeyParameters = {"kid": kid, "use": "enc", "alg": str(algorithm)}
    make = jwk.RSAKey.generate_key if algorithm is KeyAlgorithm.RSA_OAEP_256 else jwk.ECKey.generate_key
    return SelfieKey(kid, algorithm, make(parameters=names))


def as_jwk(key: SelfieKey, *, private: bool) -> dict[str, Any]:
    """JWK of a key, for its file (`private`) or for publishers."""
    return dict(key.key.as_dict(private=private))


def document_of(content: bytes) -> dict[str, Any] | None:
    """JWK of a file; None for PEM."""
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        document: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError):
        raise KeyRefused("is not valid JSON") from None
    # Operations that the file allows say nothing here: decrypting and deriving are what the key is for.
    return {name: value for name, value in document.items() if name != "key_ops"}


def imported(source: dict[str, Any] | bytes, kinds: tuple[type[K], ...], expected: str) -> K:
    """Key of one of the kinds, from a JWK or PEM; `expected` says which, for the refusal. Raises KeyRefused."""
    if isinstance(source, dict):
        kinds = tuple(kind for kind in kinds if kind.key_type == source.get("kty"))
    for kind in kinds:
        try:
            return kind.import_key(source)
        except Exception:  # noqa: S112 - an importer's own words may quote the key
            continue
    raise KeyRefused(f"is neither a JWK nor PEM of {expected}, without password")


def _algorithm(key: jwk.RSAKey | jwk.ECKey) -> KeyAlgorithm:
    if isinstance(key, jwk.ECKey):
        if key.curve_name not in CURVES:
            raise KeyRefused(f"its curve must be one of {', '.join(CURVES)}")
        return KeyAlgorithm.ECDH_ES
    fewest, most = RSA_BITS
    if not fewest <= key.raw_value.key_size <= most:
        raise KeyRefused(f"an RSA key must have {fewest} to {most} bits")
    return KeyAlgorithm.RSA_OAEP_256
