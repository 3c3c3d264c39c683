"""Capture statements: two algorithms, the session's own key, and one refusal for whatever else there is."""

from __future__ import annotations

import base64
from dataclasses import asdict

import orjson
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from stream.encryption.capture_statement import MAX_STATEMENT, StatementForged, public_jwk, read_capture_key
from stream.encryption.key_files import KeyRefused
from tests.unit.stream.builders import SECRET
from tests.unit.stream.encryption.statements import ED, OTHER, P256, claims, private, public_text, signed, text_of

PAYLOAD = asdict(claims())
HEADER = {"alg": "EdDSA", "kid": "phone"}


def read(compact, key=ED):
    return read_capture_key(public_text(key).encode()).claims(compact)


@pytest.mark.parametrize("key", [ED, P256], ids=["Ed25519", "ES256"])
def test_round_trip(key):
    statement = private(key).sign(claims())
    assert read(statement, key) == claims()
    assert len(statement) < MAX_STATEMENT / 2


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_both_names_of_the_algorithm(alg):
    assert read(signed({"alg": alg}, PAYLOAD)) == claims()


def changed(**fields):
    return signed(HEADER, {**PAYLOAD, **fields})


def without(name):
    return signed(HEADER, {field: value for field, value in PAYLOAD.items() if field != name})


GOOD = signed(HEADER, PAYLOAD)
HEAD, BODY, SIGNATURE = GOOD.split(".")
DIGEST = PAYLOAD["digests"][0]
NONE = text_of(orjson.dumps({"alg": "none"}))
EMBEDDED = OTHER.as_dict(private=False)
FORGED = {
    "another key": signed(HEADER, PAYLOAD, OTHER),
    "no algorithm": f"{NONE}.{BODY}.",
    "no algorithm, signed": signed({"alg": "none"}, PAYLOAD),
    "another algorithm": signed({"alg": "HS256"}, PAYLOAD),
    "the other curve's algorithm": signed({"alg": "ES256"}, PAYLOAD),
    "a list of algorithms": signed({"alg": ["EdDSA"]}, PAYLOAD),
    "header without algorithm": signed({"kid": "phone"}, PAYLOAD),
    "a key in the header": signed({**HEADER, "jwk": EMBEDDED}, PAYLOAD, OTHER),
    "an address of a key": signed({**HEADER, "jku": "https://example.org"}, PAYLOAD),
    "critical": signed({**HEADER, "crit": ["b64"], "b64": False}, PAYLOAD),
    "header that is no object": signed([HEADER], PAYLOAD),
    "header that is no JSON": signed(b"\xff", PAYLOAD),
    "header too long": signed({**HEADER, "kid": "x" * 600}, PAYLOAD),
    "another payload": f"{HEAD}.{signed(HEADER, {**PAYLOAD, 'camera': 'x'}).split('.')[1]}.{SIGNATURE}",
    "a changed signature": f"{HEAD}.{BODY}.{'A' * 86}",
    "a short signature": f"{HEAD}.{BODY}.AAAA",
    "no signature": f"{HEAD}.{BODY}.",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.x",
    "empty": "",
    "not ASCII": f"{GOOD}é",
    "not base64": f"{HEAD}.{BODY}.{'*' * 86}",
    "a million dots": "." * 8000,
    "too long": changed(camera="x" * MAX_STATEMENT),
    "payload that is no object": signed(HEADER, [1]),
    "payload that is no JSON": signed(HEADER, SECRET.encode()),
    "deep": signed(HEADER, b"[" * 2000),
    "unknown channel": changed(channel="fax"),
    "channel in capitals": changed(channel="IOS"),
    "no digests": changed(digests=[]),
    "too many digests": changed(digests=[DIGEST] * 13),
    "a digest in capitals": changed(digests=[DIGEST.upper()]),
    "a number for a digest": changed(digests=[1]),
    "unknown member": changed(more=1),
    "a blank label": changed(camera=" "),
    "an empty label": changed(camera=""),
    "a label too long": changed(camera="x" * 129),
    "a line end in a label": changed(camera="a\nb"),
    "an escape in a label": changed(camera="\x1b[31m"),
    "a label that turns round": changed(camera="a\u202eb"),
    "an invisible label": changed(camera="a\u200bb"),
    "half a character": signed(HEADER, orjson.dumps(PAYLOAD).replace(b"Back camera", b"\\ud800")),
    **{f"no {name}": without(name) for name in PAYLOAD},
}


@pytest.mark.parametrize("statement", FORGED.values(), ids=FORGED)
def test_forged(statement):
    with pytest.raises(StatementForged) as refused:
        read(statement)
    assert not str(refused.value)


def test_a_name_in_any_script():
    label = "Kamera „Zoë” 后置相机"
    assert read(changed(camera=label)).camera == label


def test_key_files():
    for key in (ED, P256):
        assert read(read_capture_key(key.as_pem(private=True), private=True).sign(claims()), key) == claims()


@pytest.mark.parametrize(
    "content",
    [
        public_text().encode(),
        base64.b64encode(b"x"),
        b"{",
        orjson.dumps(RSAKey.generate_key(2048).as_dict(private=True)),
        orjson.dumps(ECKey.generate_key("P-384").as_dict(private=True)),
        orjson.dumps(OKPKey.generate_key("X25519").as_dict(private=True)),
        b'{"kty":"oct","k":"AAAA"}',
    ],
    ids=["public", "text", "broken", "RSA", "P-384", "X25519", "secret"],
)
def test_other_files(content):
    with pytest.raises(KeyRefused):
        read_capture_key(content, private=True)


@pytest.mark.parametrize("key", [ED, P256], ids=["Ed25519", "P-256"])
def test_public_members_of_the_key_alone(key):
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
def test_public_key_refused(document):
    with pytest.raises(KeyRefused):
        public_jwk(document)
