"""Keys of encrypted selfies for tests: made once a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import orjson

from stream.encryption.key_files import KeyAlgorithm, SelfieKey, as_jwk, new_key

RSA, EC = KeyAlgorithm.RSA_OAEP_256, KeyAlgorithm.ECDH_ES


@cache
def key(kid: str, algorithm: KeyAlgorithm = EC) -> SelfieKey:
    return new_key(kid, algorithm)


def write(folder: Path, made: SelfieKey, name: str = "") -> Path:
    """Private key file of a key."""
    path = folder / (name or f"{made.kid}.json")
    path.write_bytes(orjson.dumps(as_jwk(made, private=True)))
    return path
