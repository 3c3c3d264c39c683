"""Signatures are the specification's own, and anything changed, old or odd is refused."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from stream.notify.signing import SignatureRefused, sign, signing_key, verify

#: From the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = signing_key(SECRET)
HEADERS = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(AT_S), "webhook-signature": SIGNATURE}


def test_the_reference_vector():
    assert sign(KEY, MESSAGE_ID, AT_S, BODY) == SIGNATURE
    assert verify(KEY, HEADERS, BODY, now_s=AT_S) == MESSAGE_ID


def test_any_case_several_signatures():
    headers = {name.title(): value for name, value in HEADERS.items()}
    headers["Webhook-Signature"] = f"v1a,AAAA v1,{'A' * 43}= {SIGNATURE}"
    assert verify(KEY, headers, BODY, now_s=AT_S) == MESSAGE_ID


@pytest.mark.parametrize(
    ("changed", "body", "key"),
    [
        *(({name: None}, BODY, KEY) for name in HEADERS),
        ({}, BODY, bytes(32)),
        ({}, BODY + b" ", KEY),
        ({}, b"", KEY),
        *(({"webhook-id": text}, BODY, KEY) for text in (MESSAGE_ID + "x", "")),
        *(({"webhook-timestamp": text}, BODY, KEY) for text in (str(AT_S + 1), f" {AT_S}", "1e9", "٣٤", "")),
        *(({"webhook-signature": text}, BODY, KEY) for text in ("", "v1,", "v1,ünsigned", SIGNATURE[3:])),
        ({"webhook-signature": "v2," + SIGNATURE[3:]}, BODY, KEY),
    ],
)
def test_anything_changed_is_refused(changed, body, key):
    headers = {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}
    with pytest.raises(SignatureRefused):
        verify(key, headers, body, now_s=AT_S)


@pytest.mark.parametrize(("off_s", "good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_five_minutes_either_way(off_s, good):
    with nullcontext() if good else pytest.raises(SignatureRefused, match="old"):
        assert verify(KEY, HEADERS, BODY, now_s=AT_S + off_s) == MESSAGE_ID


@pytest.mark.parametrize("secret", ["", "x" * 31, "whsec_", "whsec_AAAA", "whsec_" + "!" * 40, "whsec_" + "ü" * 40])
def test_weak_secret_is_refused(secret):
    with pytest.raises(ValueError, match=r"needs at least|not base64") as refused:
        signing_key(secret)
    assert signing_key("x" * 32) == b"x" * 32, "a plain secret is its text"
    assert not secret or secret not in str(refused.value)
    assert refused.value.__cause__ is None
