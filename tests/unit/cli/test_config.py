"""`liveness config`: what is shown, and that no secret is."""

from __future__ import annotations

import orjson
import pytest
from typer.testing import CliRunner

from config.errors import SettingsError
from stream.cli import app

SECRET = "Zebra-secret-of-more-than-32-characters"
SECRETS = {
    "KAFKA__SASL_PASSWORD": SECRET,
    "REDIS__URL": f"redis://:{SECRET}@redis:6379/0",
    "ABUSE__HASH_KEYS": f'[{{"id": "k1", "secret": "{SECRET}"}}]',
    "WEBHOOK__URL": f"https://hook.example/{SECRET}",
    "WEBHOOK__SECRET": SECRET,
}
LOGIN = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "liveness"}
ENVIRONMENT = {
    f"LIVENESS_{name}": value for name, value in {**SECRETS, **{f"KAFKA__{n}": v for n, v in LOGIN.items()}}.items()
}


def test_settings_without_secrets() -> None:
    shown = CliRunner().invoke(app, ["config"], env=ENVIRONMENT)
    lines = dict(line.split("=", 1) for line in shown.output.splitlines())
    assert (lines["LIVENESS_KAFKA__SASL_USERNAME"], lines["LIVENESS_KAFKA__PARTITIONS"]) == ("liveness", "12")
    assert all("*****" in lines[f"LIVENESS_{name}"] for name in SECRETS)
    document = CliRunner().invoke(app, ["config", "--json"], env=ENVIRONMENT)
    assert orjson.loads(document.output)["kafka"]["security_protocol"] == "SASL_SSL"
    assert SECRET not in shown.output + document.output


def test_wrong_setting_shows_no_secret() -> None:
    ran = CliRunner().invoke(app, ["config"], env={**ENVIRONMENT, "LIVENESS_KAFKA__SASL_MECHANISM": SECRET})
    with pytest.raises(SettingsError, match=r"^kafka\.sasl_mechanism: ") as told:
        raise ran.exception or AssertionError("no error")
    assert SECRET not in str(told.value)
