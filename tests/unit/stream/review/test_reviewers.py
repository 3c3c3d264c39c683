"""The file of reviewers: mistakes named without any key, a newer file in use soon, a broken one never."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from config.errors import SettingsError
from stream.cli import app
from stream.encryption.key_files import KeyRefused
from stream.encryption.reviewer_keys import new_signing_key, read_signing_key
from stream.review.reviewers import ReviewersFile

PUBLIC = new_signing_key("one").public
ROLES = '[roles]\nreviewer = ["flag.confirm"]\n'
KEY = f'[keys.one]\nactor = "ann"\nroles = ["reviewer"]\npublic = "{PUBLIC}"\n'
SOUND = ROLES + KEY

#: Text -> what is told.
MISTAKES = {
    "no TOML": ("[roles", "is no TOML file"),
    "nothing": ("", "roles"),
    "an unknown field": (SOUND + 'colour = "green"\n', "keys.one"),
    "an actor with spaces": (SOUND.replace("ann", "ann b"), "keys.one.actor"),
    "an unknown command": (SOUND.replace("flag.confirm", "flag.raise"), "the commands are flag.confirm"),
    "an unknown role": (SOUND.replace('["reviewer"]', '["king"]'), "keys.one: has a role"),
    "a short key": (SOUND.replace(PUBLIC, PUBLIC[:20]), "keys.one: public is no public Ed25519 key"),
    "no base64": (SOUND.replace(PUBLIC, "%%%"), "keys.one: public is no public Ed25519 key"),
    "a name with a space": (SOUND.replace("keys.one", 'keys."o ne"'), "a key's name"),
    "too much": (SOUND + "#" * 300_000, "larger than"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "reviewers.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"^commands\.reviewers: ") as refused:
        ReviewersFile(path).open()
    assert told in str(refused.value)
    assert PUBLIC not in str(refused.value)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        ReviewersFile(tmp_path / "reviewers.toml").open()


def test_changes(tmp_path: Path) -> None:
    path = tmp_path / "reviewers.toml"
    path.write_text(SOUND)
    file = ReviewersFile(path)
    file.open()
    found = file.find("one")
    assert found is not None
    assert (found.actor, found.commands, file.find("two")) == ("ann", {"flag.confirm"}, None)
    with capture_logs() as logged:
        for text in ("broken", "broken still", SOUND.replace("keys.one", "keys.two")):
            path.write_text(text)
            file.refresh()
            file.refresh()
            assert (file.find("one") is None) == (text[:6] != "broken")
        path.unlink()
        file.refresh()
    assert file.find("two") is not None, "while the file is away, its last content stays in use"
    assert [said["event"] for said in logged] == ["reviewers_unusable", "reviewers", "reviewers_unusable"]


def test_new_key_goes_into_the_file(tmp_path: Path) -> None:
    """The command prints a part of the file, and its private key is one that signs."""
    given = ["keys", "reviewer", "one", "--folder", str(tmp_path), "--actor", "ann", "--role", "reviewer"]
    made = CliRunner().invoke(app, given)
    private = tmp_path / "one.json"
    assert (made.exit_code, private.stat().st_mode & 0o777) == (0, 0o600)
    path = tmp_path / "reviewers.toml"
    path.write_text(ROLES + made.stdout)
    file = ReviewersFile(path)
    file.open()
    key, found = read_signing_key(private.read_bytes(), "file"), file.find("one")
    assert found is not None
    assert (key.kid, found.key.verifies(b"m", key.sign(b"m")), found.key.verifies(b"n", key.sign(b"m"))) == (
        "one",
        True,
        False,
    )
    assert CliRunner().invoke(app, given).exit_code == 1, "no key is replaced"


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b'{"kty":"OKP","crv":"X25519","x":"AA"}'])
def test_no_signing_key(content: bytes) -> None:
    with pytest.raises(KeyRefused):
        read_signing_key(content, "name")
