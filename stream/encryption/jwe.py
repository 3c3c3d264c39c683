"""JWE of a selfie, compact serialization (RFC 7516): RSA-OAEP-256 or ECDH-ES with A256GCM, and nothing else.

Every byte is hostile. Lengths are looked at before anything is decrypted, and whatever is wrong with key, header or
ciphertext raises one exception without words, so that an answer tells an attacker nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from joserfc import jwe

from stream.encryption.compact import object_in
from stream.encryption.key_files import CONTENT_ENCRYPTION, SelfieKey

#: Characters of the header and of the encrypted content key; an RSA key of 4096 bits takes 683.
MAX_HEADER, MAX_ENCRYPTED_KEY = 1024, 1024
_DOTS = 4
#: Base64url of a brace, and of a quote or white space behind it; so every header begins, and no picture and no JSON.
_BEGINS = ("ey", "ew")
_BEGINS_BYTES = tuple(text.encode() for text in _BEGINS)


class DecryptionFailed(Exception):
    """Refusal of a JWE: wrong key, algorithm or form, or altered bytes; which of them is not said."""


class _Registry(jwe.JWERegistry):
    """Allow-list of one key: its algorithm and A256GCM, so no other way to the content key, and no compression. Members
    of a header that are unknown are ignored, as RFC 7516 asks, unless `crit` names them."""

    max_protected_header_length = MAX_HEADER
    max_encrypted_key_length = MAX_ENCRYPTED_KEY

    def __init__(self, algorithm: str, ciphertext_length: int) -> None:
        super().__init__(algorithms=(algorithm, CONTENT_ENCRYPTION), strict_check_header=False)
        self.max_ciphertext_length = ciphertext_length


def is_compact(image: object) -> bool:
    """Whether text or bytes have the form of a JWE, which neither a picture nor base64 has."""
    if isinstance(image, str):
        return image.startswith(_BEGINS) and image.count(".") == _DOTS
    return isinstance(image, bytes) and image.startswith(_BEGINS_BYTES) and image.count(b".") == _DOTS


def longest(image_bytes: int) -> int:
    """Bytes of the longest JWE of a picture of so many bytes."""
    return MAX_HEADER + MAX_ENCRYPTED_KEY + 128 + -(-image_bytes // 3) * 4


def content_bytes(compact: bytes) -> int:
    """Bytes of the picture in a JWE, known without decrypting: A256GCM adds none."""
    return len(compact.split(b".", _DOTS)[3]) * 3 // 4


def decrypt(compact: bytes, keys: Mapping[str, SelfieKey]) -> bytes:
    """Picture of a JWE, by the key that its header names. Blocks for milliseconds. Raises DecryptionFailed."""
    if not is_compact(compact):
        raise DecryptionFailed
    try:
        name = object_in(compact[: MAX_HEADER + 1].partition(b".")[0].decode("ascii")).get("kid")
    except ValueError:
        raise DecryptionFailed from None
    key = keys.get(name) if isinstance(name, str) else None
    if key is None:
        raise DecryptionFailed
    try:
        opened = jwe.decrypt_compact(compact, key.key, registry=_Registry(key.algorithm, len(compact)))
    except Exception:
        # Whatever a library raises on a stranger's bytes, the answer must be one and the same: refused.
        raise DecryptionFailed from None
    return opened.plaintext or b""


def encrypt(image: bytes, key: SelfieKey) -> bytes:
    """JWE of a picture for the holder of a key; the publisher's side."""
    header = {"alg": key.algorithm, "enc": CONTENT_ENCRYPTION, "kid": key.kid}
    return jwe.encrypt_compact(header, image, key.key, registry=_Registry(key.algorithm, 0)).encode()
