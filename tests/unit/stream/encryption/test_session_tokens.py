"""Session tokens: each way in which one is no good has its own fault, and nothing of a token is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pybase64
import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, OKPKey

from stream.encryption.key_folder import SessionKeys
from stream.encryption.reviewer_keys import SigningKey, new_signing_key
from stream.encryption.session_tokens import AHEAD_S, MAX_TOKEN, SessionTokens, TokenClaims, TokenFault

#: The library would rather have RFC 9864's name of the algorithm, which few others know yet.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
ONE, TWO, STRANGER = (new_signing_key(kid) for kid in ("2026-11", "2026-12", "2026-11"))
ISSUED_S = 1_700_000_000
CLAIMS = TokenClaims(
    session_id="ls_1",
    correlation_id="0f8fad5b",
    tenant="acme",
    token_id="token.of.this.test",
    issued_s=ISSUED_S,
    expires_s=ISSUED_S + 600,
    capture_key={"kty": "OKP", "crv": "Ed25519", "x": ONE.public},
)
AT_MS = ISSUED_S * 1000 + 5


class Keys(dict[str, SigningKey]):
    @property
    def kids(self) -> tuple[str, ...]:
        return tuple(sorted(self))


def tokens(*keys: SigningKey, **changes: Any) -> SessionTokens:
    given = {"keys": Keys({key.kid: key for key in keys or (ONE,)}), "issuer": "us", "audience": "liveness"}
    return SessionTokens(**{**given, **changes})


OURS = tokens()
GOOD = OURS.sign(CLAIMS, ONE.kid)


def packed(document: Any) -> str:
    return pybase64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def with_header(header: Any, token: str = GOOD) -> str:
    return f"{packed(header)}.{token.split('.', 1)[1]}"


def hmac_signed() -> str:
    """The public key taken for the secret of an HMAC."""
    header = {"alg": "HS256", "typ": "liveness-session+jwt", "kid": ONE.kid}
    public = pybase64.urlsafe_b64decode(ONE.public + "=")
    return jws.serialize_compact(header, orjson.dumps(claims_of(GOOD)), OctKey.import_key(public), algorithms=["HS256"])


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    document: dict[str, Any] = orjson.loads(pybase64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return document


def altered() -> str:
    """A later expiry under the old signature."""
    header, _, signature = GOOD.split(".")
    return f"{header}.{packed({**claims_of(GOOD), 'exp': ISSUED_S + 9_999})}.{signature}"


HEADER = {"alg": "EdDSA", "typ": "liveness-session+jwt", "kid": ONE.kid}
FAULTY = {
    "empty": ("", TokenFault.MALFORMED),
    "two parts": (GOOD.rsplit(".", 1)[0], TokenFault.MALFORMED),
    "four parts": (f"{GOOD}.x", TokenFault.MALFORMED),
    "too long": (GOOD + "A" * MAX_TOKEN, TokenFault.MALFORMED),
    "no base64": (f"ä{GOOD}", TokenFault.MALFORMED),
    "header no JSON": (f"AAAA.{GOOD.split('.', 1)[1]}", TokenFault.MALFORMED),
    "header a list": (with_header([]), TokenFault.MALFORMED),
    "header with a key of its own": (with_header({**HEADER, "jwk": {"kty": "OKP"}}), TokenFault.MALFORMED),
    "critical extension": (with_header({**HEADER, "crit": ["b64"], "b64": False}), TokenFault.MALFORMED),
    "another kind of JWT": (with_header({**HEADER, "typ": "JWT"}), TokenFault.MALFORMED),
    "alg none": (with_header({**HEADER, "alg": "none"}).rsplit(".", 1)[0] + ".", TokenFault.ALGORITHM),
    "key confusion": (hmac_signed(), TokenFault.ALGORITHM),
    "unknown key": (with_header({**HEADER, "kid": "x"}), TokenFault.UNKNOWN_KEY),
    "forged": (tokens(STRANGER).sign(CLAIMS, ONE.kid), TokenFault.FORGED),
    "altered": (altered(), TokenFault.FORGED),
    "no signature": (GOOD.rsplit(".", 1)[0] + ".", TokenFault.FORGED),
    "other issuer": (tokens(issuer="them").sign(CLAIMS, ONE.kid), TokenFault.OTHER_INSTALLATION),
    "other audience": (tokens(audience="test-liveness").sign(CLAIMS, ONE.kid), TokenFault.OTHER_INSTALLATION),
}


def test_good_token_has_its_claims():
    assert OURS.claims(GOOD, AT_MS) == CLAIMS
    assert OURS.claims(OURS.sign(replace(CLAIMS, tenant=None, capture_key=None), ONE.kid), AT_MS) == replace(
        CLAIMS, tenant=None, capture_key=None
    )
    assert "token.of.this.test" not in repr(CLAIMS)


def test_any_library_can_check_a_token():
    found = jwt.decode(GOOD, OKPKey.import_key(ONE.key.as_dict(private=False)), algorithms=["EdDSA"])
    assert (found.claims["sub"], found.claims["sid"], found.header["kid"]) == ("0f8fad5b", "ls_1", "2026-11")
    assert found.claims["cnf"] == {"jwk": CLAIMS.capture_key}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_token(name):
    token, fault = FAULTY[name]
    assert OURS.claims(token, AT_MS) is fault


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (ISSUED_S * 1000 + 599_999, CLAIMS),
        (ISSUED_S * 1000 + 600_000, TokenFault.EXPIRED),
        ((ISSUED_S - AHEAD_S) * 1000, CLAIMS),
        ((ISSUED_S - AHEAD_S) * 1000 - 1, TokenFault.NOT_YET_VALID),
    ],
)
def test_times_are_the_submissions(at_ms, expected):
    assert OURS.claims(GOOD, at_ms) == expected


def test_signed_claims_that_are_none_of_ours():
    signed = jws.serialize_compact(HEADER, b'{"iss":"us","aud":"liveness","iat":true}', ONE.key, algorithms=["EdDSA"])
    assert OURS.claims(signed, AT_MS) is TokenFault.MALFORMED


def test_rotation():
    """The last key by name signs, or the one that is named; tokens of every key in the folder are good."""
    both = tokens(ONE, TWO)
    assert (both.signing_kid, tokens(ONE, TWO, signs=ONE.kid).signing_kid) == (TWO.kid, ONE.kid)
    assert both.claims(GOOD, AT_MS) == CLAIMS
    assert both.sign(CLAIMS, ONE.kid) == GOOD
    newer = tokens(TWO)
    assert newer.claims(GOOD, AT_MS) is TokenFault.UNKNOWN_KEY
    assert newer.claims(newer.sign(CLAIMS, ONE.kid), AT_MS) == CLAIMS


def test_keys_of_a_folder(tmp_path):
    (tmp_path / "2026-11.json").write_bytes(orjson.dumps(ONE.key.as_dict(private=True)))
    keys = SessionKeys(tmp_path)
    keys.open()
    assert tokens(keys=keys).claims(GOOD, AT_MS) == CLAIMS
    (tmp_path / "2026-12.json").write_bytes(orjson.dumps(TWO.key.as_dict(private=True)))
    keys.refresh()
    assert keys.kids == (ONE.kid, TWO.kid)
