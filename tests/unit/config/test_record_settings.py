"""Settings of record keys and reviewers: mistakes named without a secret, and what no process may start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.errors import SettingsError
from config.settings import load

SECRET = "Zebra-Secret-of-more-than-thirty-two"
KEY = {"id": "r1", "secret": SECRET}

#: Group, its settings -> what is told.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "required without keys": ("records", {"required": True}, "records.required: needs records.keys"),
    "a short secret": ("records", {"keys": [{"id": "r1", "secret": "Zebra"}]}, "records.keys"),
    "one id twice": ("records", {"keys": [KEY, KEY]}, "record keys must differ in id"),
    "none from the beginning": (
        "records",
        {"keys": [KEY | {"since": "2027-01-01T00:00:00Z"}]},
        "one record key must have no since",
    ),
    "a time without a zone": ("records", {"unsigned_until": "2027-01-01T00:00:00"}, "records.unsigned_until"),
    "signatures by nobody": (
        "commands",
        {"require_signature": True},
        "commands.require_signature: needs commands.reviewers",
    ),
}


@pytest.mark.parametrize(("group", "values", "told"), REFUSED.values(), ids=REFUSED)
def test_refused(group: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**{group: values})
    assert told in str(refused.value)
    assert "Zebra" not in str(refused.value)


def test_keys_that_are_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS", SECRET)
    with pytest.raises(SettingsError, match=r"^LIVENESS_RECORDS__KEYS must be a JSON list") as refused:
        load()
    assert "Zebra" not in str(refused.value)


def test_keys_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f'[{{"id": "r1", "secret": "{SECRET}"}}]\n')
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS_FILE", str(file))
    settings = load()
    assert [key.secret.get_secret_value() for key in settings.records.keys] == [SECRET]
    assert "Zebra" not in settings.model_dump_json() + repr(settings)
