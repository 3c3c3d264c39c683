"""`liveness keys new` and `submit --encrypt-to`: a pair that fits, a private key for its owner's eyes alone."""

from __future__ import annotations

import orjson
import pytest
from typer.testing import CliRunner

from config.errors import SettingsError
from stream.cli import app
from stream.cli.submit import submitting as submit
from stream.encryption.jwe import encrypt
from stream.encryption.key_files import read_key
from stream.encryption.key_folder import KeyFolder, SessionKeys


@pytest.mark.parametrize("algorithm", ["RSA-OAEP-256", "ECDH-ES"])
def test_new_pair(tmp_path, algorithm):
    given = ["keys", "new", "2026-11", "--folder", str(tmp_path), "--algorithm", algorithm]
    made = CliRunner().invoke(app, given)
    private = tmp_path / "2026-11.json"
    assert (made.exit_code, private.stat().st_mode & 0o777) == (0, 0o600)
    secret = orjson.loads(private.read_bytes())["d"]
    assert secret not in made.output
    keys = KeyFolder(tmp_path)
    keys.open()
    public = read_key(made.stdout.encode(), "public", private=False)
    assert (public.kid, public.algorithm, public.key.is_private) == ("2026-11", algorithm, False)
    assert keys.decrypt(encrypt(b"picture", public)) == b"picture"
    again = CliRunner().invoke(app, given)
    assert (again.exit_code, orjson.loads(private.read_bytes())["d"]) == (1, secret)


def test_wrong_kid(tmp_path):
    made = CliRunner().invoke(app, ["keys", "new", "a b", "--folder", str(tmp_path)])
    assert (made.exit_code, list(tmp_path.iterdir())) == (2, [])


def test_folder_left_never(tmp_path):
    (tmp_path / "keys").mkdir()
    CliRunner().invoke(app, ["keys", "new", "../a", "--folder", str(tmp_path / "keys"), "--algorithm", "ECDH-ES"])
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_submit_to_a_file_that_is_no_key(tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "_submit", None)
    for name in ("selfie.jpg", "key.json"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    made = CliRunner().invoke(app, ["submit", str(tmp_path / "selfie.jpg"), "--encrypt-to", str(tmp_path / "key.json")])
    assert made.exit_code == 2
    assert "neither a JWK nor PEM" in " ".join(made.output.replace("│", " ").split())


def test_worker_says_the_unusable_file_first(tmp_path, monkeypatch):
    """Before any wait for a broker, by its name, and nothing of its content."""
    (tmp_path / "broken.json").write_text('{"kty": "EC", "d": "Zebra-Secret"}')
    monkeypatch.setenv("LIVENESS_ENCRYPTION__KEYS", str(tmp_path))
    made = CliRunner().invoke(app, ["worker"])
    assert isinstance(made.exception, SettingsError)
    assert str(made.exception).startswith(f"encryption.keys: {tmp_path / 'broken.json'} is neither a JWK nor PEM")
    assert "Zebra-Secret" not in str(made.exception) + made.output


def test_session_pair(tmp_path):
    given = ["keys", "session", "2026-11", "--folder", str(tmp_path)]
    made = CliRunner().invoke(app, given)
    private = tmp_path / "2026-11.json"
    assert (made.exit_code, private.stat().st_mode & 0o777) == (0, 0o600)
    assert orjson.loads(private.read_bytes())["d"] not in made.output
    keys = SessionKeys(tmp_path)
    keys.open()
    key = keys.get("2026-11")
    assert key is not None
    assert key.public == orjson.loads(made.stdout)["x"]
    assert CliRunner().invoke(app, ["keys", "session", "a b", "--folder", str(tmp_path)]).exit_code == 2
