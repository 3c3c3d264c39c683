"""Tenants' public keys: by the file's name, never a private one, many more than keys of the service's own."""

from __future__ import annotations

import orjson
import pytest

from config.errors import SettingsError
from config.settings import Settings
from stream.bootstrap.detect_role import open_image_keys
from stream.encryption.jwe import decrypt, encrypt
from stream.encryption.key_files import as_jwk
from stream.encryption.key_folder import MOST_KEYS, ImageKeys
from tests.unit.stream.encryption.keys import EC, RSA, key, write


def public(folder, name, made):
    (folder / name).write_bytes(orjson.dumps(as_jwk(made, private=False)))


def opened(folder):
    keys = ImageKeys(folder)
    keys.open()
    return keys


def test_tenant_by_file_name(tmp_path):
    """Two tenants may give their keys one kid."""
    public(tmp_path, "bank.json", key("2026", EC))
    public(tmp_path, "shop-1.jwk", key("2026", RSA))
    (tmp_path / "pem.pem").write_bytes(key("x", RSA).key.as_pem(private=False))
    keys = opened(tmp_path)
    assert keys.kids == ("bank", "pem", "shop-1")
    assert decrypt(encrypt(b"picture", keys.get("bank")), {"2026": key("2026", EC)}) == b"picture"
    assert keys.get("pem").kid == "pem"
    assert (keys.get("other"), keys.get(None)) == (None, None)


def test_without_tenant(tmp_path):
    public(tmp_path, "@.json", key("own"))
    keys = opened(tmp_path)
    assert (keys.get(None).kid, keys.get("")) == ("own", None)


def test_private_key_is_refused(tmp_path):
    write(tmp_path, key("bank"))
    with pytest.raises(SettingsError, match=r"sessions\.image_keys: .*bank.json holds a private key") as refused:
        open_image_keys(Settings(sessions={"image_keys": tmp_path}))
    assert as_jwk(key("bank"), private=True)["d"] not in str(refused.value)


def test_keys_come_and_go(tmp_path):
    public(tmp_path, "bank.json", key("old"))
    keys = opened(tmp_path)
    public(tmp_path, "shop.json", key("shop"))
    (tmp_path / "bank.json").unlink()
    keys.refresh()
    assert (keys.get("bank"), keys.get("shop").kid) == (None, "shop")


def test_many_tenants(tmp_path):
    for number in range(MOST_KEYS + 1):
        public(tmp_path, f"tenant-{number}.json", key("same"))
    assert len(opened(tmp_path).kids) == MOST_KEYS + 1


def test_not_configured():
    assert open_image_keys(Settings()) is None
