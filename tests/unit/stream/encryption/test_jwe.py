"""JWE of a selfie: what is opened, and that everything else is refused without a word."""

from __future__ import annotations

import os
import time
import warnings
from functools import cache
from typing import Any

import orjson
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as library
from joserfc.jwk import OctKey

from stream.encryption.jwe import DecryptionFailed, content_bytes, decrypt, encrypt, is_compact, longest
from tests.unit.stream.encryption.keys import EC, RSA, key

PICTURE = b"\xff\xd8\xff\xe0" + os.urandom(700)
ALGORITHMS = pytest.mark.parametrize("algorithm", [RSA, EC])


def keys_of(*made):
    return {each.kid: each for each in made}


def packed(header: Any) -> bytes:
    return pybase64.urlsafe_b64encode(orjson.dumps(header)).rstrip(b"=")


def foreign(header: dict[str, Any], made: Any, plaintext: bytes = PICTURE) -> bytes:
    """JWE as somebody else's library makes it, with any algorithm that there is."""
    registry = library.JWERegistry(
        algorithms=[value for name, value in header.items() if name in ("alg", "enc", "zip")]
    )
    registry.max_ciphertext_length = len(plaintext) * 2
    with warnings.catch_warnings(action="ignore"):
        return library.encrypt_compact(header, plaintext, made, registry=registry).encode()


@ALGORITHMS
def test_round_trip(algorithm):
    made = key("a", algorithm)
    compact = encrypt(PICTURE, made)
    assert is_compact(compact)
    assert (content_bytes(compact), len(compact) <= longest(len(PICTURE))) == (len(PICTURE), True)
    assert decrypt(compact, keys_of(key("b"), made)) == PICTURE
    assert encrypt(PICTURE, made) != compact


@ALGORITHMS
def test_header_as_others_write_it(algorithm):
    """Members that say nothing about decryption are ignored, as the standard asks."""
    made = key("a", algorithm)
    header = {"alg": str(algorithm), "enc": "A256GCM", "kid": "a", "typ": "JWE", "cty": "image/jpeg"}
    assert decrypt(foreign(header, made.key), keys_of(made)) == PICTURE


@pytest.mark.parametrize("space", [b" ", b"\n  ", b"\r\n", b"\t"])
def test_header_with_white_space(space):
    header = pybase64.urlsafe_b64encode(b"{" + space + b'"alg": "RSA-OAEP-256"}').rstrip(b"=")
    assert is_compact(header + b".a.b.c.d")


@ALGORITHMS
@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("change", ["first", "last", "emptied", "longer"])
def test_altered(algorithm, part, change):
    made = key("a", algorithm)
    parts = encrypt(PICTURE, made).split(b".")
    other = b"B" if parts[part][:1] == b"A" else b"A"
    changed = {
        "first": other + parts[part][1:],
        "last": parts[part][:-4] + other * 4,
        "emptied": b"" if parts[part] else b"AAAA",
        "longer": parts[part] + b"AAAA",
    }
    parts[part] = changed[change]
    with pytest.raises(DecryptionFailed):
        decrypt(b".".join(parts), keys_of(made))


@cache
def refusals() -> dict[str, bytes]:
    """JWEs and likenesses of one that no key opens, by what is wrong."""
    rsa, ec, secret = key("a", RSA), key("e"), OctKey.import_key("0123456789abcdef0123456789abcdef")
    sound = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "a"}
    _, *rest = encrypt(PICTURE, rsa).split(b".")
    headers: dict[str, Any] = {
        "alg none": {**sound, "alg": "none"},
        "no kid": {"alg": "RSA-OAEP-256", "enc": "A256GCM"},
        "kid of a list": {**sound, "kid": ["a"]},
        "no alg": {"enc": "A256GCM", "kid": "a"},
        "critical extension": {**sound, "crit": ["exp"], "exp": 1},
        "header of a list": [],
        "long header": {**sound, "x": "x" * 1024},
        "nested header": {**sound, "epk": [[[[[]]]]]},
        "odd epk": {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "e", "epk": {"kty": "EC", "crv": {}, "x": 1}},
    }
    return {name: b".".join([packed(header), *rest]) for name, header in headers.items()} | {
        "unknown kid": encrypt(PICTURE, key("z")),
        "wrong key": foreign(sound, key("other", RSA).key),
        "wrong curve key": foreign({"alg": "ECDH-ES", "enc": "A256GCM", "kid": "e"}, key("f").key),
        "direct": foreign({"alg": "dir", "enc": "A256GCM", "kid": "a"}, secret),
        "key wrapped": foreign({"alg": "A128KW", "enc": "A256GCM", "kid": "a"}, OctKey.import_key("0123456789abcdef")),
        "older padding": foreign({**sound, "alg": "RSA1_5"}, rsa.key),
        "sha-1 padding": foreign({**sound, "alg": "RSA-OAEP"}, rsa.key),
        "other cipher": foreign({**sound, "enc": "A128GCM"}, rsa.key),
        "agreed and wrapped": foreign({"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "e"}, ec.key),
        "compressed": foreign({**sound, "zip": "DEF"}, rsa.key),
        "public key as a secret": foreign({"alg": "dir", "enc": "A256GCM", "kid": "e"}, secret),
        "four parts": b"eyJ.a.b.c",
        "six parts": b"eyJ.a.b.c.d.e",
        "dots": b"eyJ" + b"." * 1_000_000,
        "no base64": b"eyJ%.a.b.c.d",
        "a picture": PICTURE,
    }


@pytest.mark.parametrize("wrong", refusals())
def test_refused(wrong):
    with pytest.raises(DecryptionFailed) as caught:
        decrypt(refusals()[wrong], keys_of(key("a", RSA), key("e")))
    assert (str(caught.value), caught.value.__cause__) == ("", None)


def test_bomb_is_not_inflated():
    """A hundred thousand bytes that would become a hundred million are refused by their header."""
    bomb = foreign({"alg": "ECDH-ES", "enc": "A256GCM", "kid": "a", "zip": "DEF"}, key("a").key, bytes(100_000_000))
    assert len(bomb) < 1_000_000
    started = time.process_time()
    with pytest.raises(DecryptionFailed):
        decrypt(bomb, keys_of(key("a")))
    assert time.process_time() - started < 0.1


@given(
    st.dictionaries(
        st.sampled_from(["alg", "enc", "kid", "epk", "apu", "apv", "crit", "zip", "iv", "p2c"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["ECDH-ES", "A256GCM", "a", "EC", "P-256"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y"]), inner, max_size=4)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_header(header):
    whole = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "a", **header}
    with pytest.raises(DecryptionFailed):
        decrypt(packed(whole) + b"..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA", keys_of(key("a")))
