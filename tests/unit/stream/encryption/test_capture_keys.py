"""Capture keys: public keys of two curves, and nothing else."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from stream.encryption.capture_keys import public_jwk
from stream.encryption.key_files import KeyRefused

ED, P256 = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")


@pytest.mark.parametrize("key", [ED, P256], ids=["Ed25519", "P-256"])
def test_members_of_the_key_alone(key):
    public = key.as_dict(private=False)
    kept = public_jwk({**public, "kid": "phone", "x5u": "https://example.org"})
    assert kept == {name: public[name] for name in ("kty", "crv", "x", "y") if name in public}


@pytest.mark.parametrize(
    "document",
    [
        {},
        ED.as_dict(private=True),
        OKPKey.generate_key("X25519").as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=False),
        RSAKey.generate_key(2048).as_dict(private=False),
        {"kty": "EC", "crv": "P-256", "x": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "oct", "k": "AAAA"},
    ],
)
def test_refused(document):
    with pytest.raises(KeyRefused):
        public_jwk(document)
