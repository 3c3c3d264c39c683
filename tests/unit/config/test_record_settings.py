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
    "a group's short secret": ("join", {"group_keys": [{"group": "depth", "secret": "Zebra"}]}, "join.group_keys"),
    "a group nobody waits for": (
        "join",
        {"group_keys": [{"group": "depth", "secret": SECRET}]},
        "join.group_keys: the policy's groups have no depth",
    ),
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


@pytest.mark.parametrize("name", ["LIVENESS_RECORDS__KEYS", "LIVENESS_JOIN__GROUP_KEYS"])
def test_keys_that_are_no_json(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SettingsError, match=rf"^{name} must be a JSON list") as refused:
        load()
    assert "Zebra" not in str(refused.value)


def test_keys_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f'[{{"id": "r1", "secret": "{SECRET}"}}]\n')
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS_FILE", str(file))
    settings = load()
    assert [key.secret.get_secret_value() for key in settings.records.keys] == [SECRET]
    assert "Zebra" not in settings.model_dump_json() + repr(settings)


def test_group_without_a_key(tmp_path: Path) -> None:
    """Where records carry MACs, a group must have a key of its own: else anybody could speak for the group."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[groups.depth]\nleast = 0.6\nattack = 0.3\n")
    assert load(policy_file=policy).policy().groups["depth"].least == 0.6
    with pytest.raises(SettingsError, match=r"join\.group_keys: group depth needs a key"):
        load(policy_file=policy, records={"keys": [KEY]})
    keyed = load(
        policy_file=policy, records={"keys": [KEY]}, join={"group_keys": [{"group": "depth", "secret": SECRET}]}
    )
    assert "Zebra" not in keyed.model_dump_json() + repr(keyed)
