"""The compose file for secured services: its environment and mounted secrets make settings that a worker accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.settings import load
from tests.certificates import Authority

TEXT = (Path(__file__).resolve().parents[3] / "deploy" / "compose.secure.yaml").read_text()
PASSWORD = "Zebra-password"
GIVEN = {"BOOTSTRAP_SERVERS": "kafka:9093", "URL": "rediss://redis:6379/0"}


def test_environment_and_secrets_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {
        "LIVENESS_KAFKA__SASL_PASSWORD": PASSWORD,
        "LIVENESS_REDIS__PASSWORD": PASSWORD,
        "LIVENESS_ABUSE__HASH_KEYS": '[{"id": "k1", "secret": "' + PASSWORD * 3 + '"}]',
        "LIVENESS_RECORDS__KEYS": '[{"id": "r1", "secret": "' + PASSWORD * 3 + '"}]',
        **dict.fromkeys(("kafka-authority.pem", "redis-authority.pem"), Authority(tmp_path).file.read_text()),
    }
    mounted, files = TEXT.split("\nsecrets:\n")
    assert (
        re.findall(r"^      - ([\w.-]+)$", mounted, re.M) == re.findall(r"^  ([\w.-]+):$", files, re.M) == [*contents]
    )
    for name, content in contents.items():
        (tmp_path / name).write_text(content)

    for name, told in re.findall(r"^      (LIVENESS_\w+): (.*)$", mounted, re.M):
        default = re.fullmatch(r"\$\{\w+:-(.*)\}", told)
        required = GIVEN.get(name.rpartition("__")[2]) if ":?" in told else None
        monkeypatch.setenv(name, required or (default[1] if default else told.replace("/run/secrets", str(tmp_path))))
    settings = load()
    passwords = [settings.kafka.sasl_password, settings.redis.password]
    assert [each and each.get_secret_value() for each in passwords] == [PASSWORD, PASSWORD]
    assert settings.abuse.hash_keys
    assert (len(settings.records.keys), settings.records.required) == (1, True)
    assert PASSWORD not in TEXT
