"""The secrets of secure local services: certificates, passwords, and the key that signs tokens; made once.

authority.pem             whom clients trust; its key is not kept
broker.pem, redis.pem     certificate and key of each server
client.pem, client.key    a client of the broker's listener for mutual TLS, the principal User:mutual
passwords/NAME            one a user
tokens.key, jwks.json     the key of OAUTHBEARER's tokens, and what the broker checks them by
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from datetime import timedelta
from pathlib import Path

from certificates import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from secure import ADMIN, KEY_ID, MUTUAL, PRINCIPALS, WORKER

LIFE = timedelta(days=3650)


def make(folder: Path) -> None:
    """Make everything, readable for this user only; a run that breaks off leaves no folder of that name."""
    work = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(work, ignore_errors=True)
    before = os.umask(0o077)
    try:
        (work / "passwords").mkdir(parents=True)
        for user in (ADMIN, *PRINCIPALS, WORKER):
            (work / "passwords" / user).write_text(secrets.token_urlsafe(24), encoding="ascii")
        _make_certificates(work)
        _make_token_key(work)
        work.rename(folder)
    finally:
        os.umask(before)
        shutil.rmtree(work, ignore_errors=True)


def _make_certificates(folder: Path) -> None:
    authority = Authority(folder, life=LIFE)
    for server, name in (("broker", "broker"), ("redis", "redis"), ("client", MUTUAL)):
        issued = authority.issue(name, life=LIFE)
        certificate, key = issued.certificate.read_bytes(), issued.key.read_bytes()
        for file in (issued.certificate, issued.key):
            file.unlink()
        if server == "client":
            (folder / "client.pem").write_bytes(certificate)
            (folder / "client.key").write_bytes(key)
        else:
            (folder / f"{server}.pem").write_bytes(key + certificate)


def _make_token_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tokens.key").write_bytes(key.private_bytes(*pem))
    point = key.public_key().public_numbers()
    place = {axis: _base64(number.to_bytes(32)) for axis, number in (("x", point.x), ("y", point.y))}
    document = {"keys": [{"kty": "EC", "crv": "P-256", "kid": KEY_ID, "alg": "ES256", "use": "sig", **place}]}
    (folder / "jwks.json").write_text(json.dumps(document), encoding="ascii")


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")
