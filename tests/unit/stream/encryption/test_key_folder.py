"""The folder of private keys: refusals at the start by file name, rotation while running, nothing secret said."""

from __future__ import annotations

import asyncio
import traceback

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from structlog.testing import capture_logs

from abuse.networks.watched_files import keep_current
from config.errors import SettingsError
from config.settings import Settings
from stream.bootstrap.detect_role import open_keys
from stream.encryption.jwe import DecryptionFailed, encrypt
from stream.encryption.key_files import MAX_FILE_BYTES, as_jwk
from stream.encryption.key_folder import MOST_KEYS, KeyFolder
from tests.e2e.waiting import eventually
from tests.unit.stream.encryption.keys import EC, RSA, key, write


def opened(folder):
    keys = KeyFolder(folder)
    keys.open()
    return keys


def opens(keys, made):
    try:
        return keys.decrypt(encrypt(b"picture", made)) == b"picture"
    except DecryptionFailed:
        return False


@pytest.mark.parametrize("algorithm", [RSA, EC])
@pytest.mark.parametrize("form", ["jwk", "jwk without kid", "pem"])
def test_forms_of_a_key_file(tmp_path, algorithm, form):
    made = key("2026-11", algorithm)
    document = as_jwk(made, private=True)
    if form == "jwk without kid":
        del document["kid"]
    content = made.key.as_pem(private=True) if form == "pem" else orjson.dumps(document)
    (tmp_path / ("2026-11.pem" if form == "pem" else "2026-11.json")).write_bytes(content)
    (tmp_path / "README").write_text("not a key")
    (tmp_path / "..data").mkdir()
    keys = opened(tmp_path)
    assert (keys.kids, opens(keys, made)) == (("2026-11",), True)


def jwk_of(made):
    return orjson.dumps(made.as_dict(private=True))


UNUSABLE = {
    "public": lambda: orjson.dumps(as_jwk(key("a"), private=False)),
    "no JSON": lambda: b"{",
    "nested": lambda: b'{"kty":' + b"[" * 50_000,
    "empty": lambda: b"",
    "no key": lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "password": lambda: key("a").key.as_pem(private=True, password="x" * 8),
    "symmetric": lambda: jwk_of(OctKey.generate_key(256)),
    "other curve": lambda: jwk_of(ECKey.generate_key("secp256k1")),
    "short": lambda: jwk_of(RSAKey.generate_key(1024)),
    "for signing": lambda: orjson.dumps({**as_jwk(key("a"), private=True), "use": "sig"}),
    "other algorithm": lambda: orjson.dumps({**as_jwk(key("a"), private=True), "alg": "ECDH-ES+A256KW"}),
    "kid of spaces": lambda: orjson.dumps({**as_jwk(key("a"), private=True), "kid": "a b"}),
    "altered": lambda: orjson.dumps({**as_jwk(key("a"), private=True), "d": as_jwk(key("b"), private=True)["d"]}),
    "large": lambda: b" " * (MAX_FILE_BYTES + 1),
}


@pytest.mark.filterwarnings("ignore:Key size")
@pytest.mark.parametrize("wrong", UNUSABLE)
def test_unusable_file_at_the_start(tmp_path, wrong):
    content = UNUSABLE[wrong]()
    write(tmp_path, key("sound"))
    (tmp_path / "broken.json").write_bytes(content)
    with capture_logs() as logs, pytest.raises(SettingsError) as caught:
        opened(tmp_path)
    said = "".join(traceback.format_exception(caught.value)) + repr(logs)
    assert str(caught.value).startswith(f"encryption.keys: {tmp_path / 'broken.json'} ")
    assert as_jwk(key("a"), private=True)["d"] not in said


@pytest.mark.parametrize("case", ["absent", "empty", "kid twice", "too many"])
def test_unusable_folder(tmp_path, case):
    folder = tmp_path / "keys"
    if case != "absent":
        folder.mkdir()
    if case == "kid twice":
        write(folder, key("a"))
        write(folder, key("a"), "b.json")
    if case == "too many":
        for number in range(MOST_KEYS + 1):
            (folder / f"{number}.pem").write_bytes(key("a").key.as_pem(private=True))
    with pytest.raises(SettingsError, match=str(folder)):
        open_keys(Settings(encryption={"keys": folder}))


def test_rotation_while_running(tmp_path):
    """Keys come, go, and are replaced by files; a broken one and a folder that is away take nothing."""
    old, new = key("old"), key("new", RSA)
    write(tmp_path, old)
    keys = opened(tmp_path)
    assert (opens(keys, old), opens(keys, new)) == (True, False)
    write(tmp_path, new)
    keys.refresh()
    assert (opens(keys, old), opens(keys, new)) == (True, True)
    (tmp_path / "new.json").write_bytes(b"{")
    with capture_logs() as logs:
        keys.refresh()
        keys.refresh()
    assert [(entry["event"], entry["file"], entry["kept"]) for entry in logs] == [
        ("decryption_key_unusable", "new.json", True)
    ]
    assert opens(keys, new)
    (tmp_path / "old.json").unlink()
    keys.refresh()
    assert (opens(keys, old), keys.kids) == (False, ("new",))
    tmp_path.rename(tmp_path.with_name("away"))
    keys.refresh()
    assert opens(keys, new)


async def test_watch_looks_again(tmp_path):
    write(tmp_path, key("old"))
    keys = opened(tmp_path)
    watch = asyncio.create_task(keep_current(keys.refresh, 0.01))
    write(tmp_path, key("new"))
    await eventually(lambda: keys.kids == ("new", "old"), "the new key is in use", 10)
    watch.cancel()


def test_nothing_secret_in_repr(tmp_path):
    write(tmp_path, key("a"))
    with capture_logs() as logs:
        keys = opened(tmp_path)
    assert logs == [{"event": "decryption_keys", "kids": ["a"], "log_level": "info"}]
    secret = as_jwk(key("a"), private=True)["d"]
    assert secret not in repr((keys, vars(keys), key("a"), logs))
