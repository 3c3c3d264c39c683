"""Environment variables of the settings: names, and mistakes that the settings reader ignores or words badly."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from config.errors import SettingsError
from config.secret_files import SECRETS_DIR_VARIABLE

CONFIG_FILE_VARIABLE = "LIVENESS_CONFIG"
#: Folder of model files, in place of their homes (`liveness models fetch`).
MODEL_MIRROR_VARIABLE = "LIVENESS_MODEL_MIRROR"
HASH_KEYS_VARIABLE = "LIVENESS_ABUSE__HASH_KEYS"
RECORD_KEYS_VARIABLE = "LIVENESS_RECORDS__KEYS"
GROUP_KEYS_VARIABLE = "LIVENESS_JOIN__GROUP_KEYS"
#: Variables with the prefix that are not settings of the processor: the tests' and the local services' own.
_OTHER_VARIABLES = frozenset(
    {
        CONFIG_FILE_VARIABLE,
        MODEL_MIRROR_VARIABLE,
        SECRETS_DIR_VARIABLE,
        "LIVENESS_REQUIRE_REAL",
        "LIVENESS_CACHE_DIR",
        "LIVENESS_REDIS_SERVER",
    }
    | {"LIVENESS_TEST_IMAGES", "LIVENESS_TEST_MODELS", "LIVENESS_TEST_ATTACKS", "LIVENESS_SLOT_STDERR"}
)


def refuse_unknown_variables(environment: Collection[str], settings: Collection[str]) -> None:
    """Variables' names checked: a misspelt one raises SettingsError, which the settings reader ignores."""
    groups = {name.upper() for name in settings}
    for name in environment:
        if not name.startswith("LIVENESS_") or name in _OTHER_VARIABLES:
            continue
        if name.removeprefix("LIVENESS_").split("__")[0] not in groups:
            raise SettingsError(f"{name} is not a setting; the groups are {', '.join(sorted(groups))}")


def malformed_keys(environment: Mapping[str, str | None]) -> str | None:
    """Message for keys that are no JSON, else None: the settings reader names only their group."""
    named = {HASH_KEYS_VARIABLE: "id", RECORD_KEYS_VARIABLE: "id", GROUP_KEYS_VARIABLE: "group"}
    for name, text in environment.items():
        if name.upper() in named:
            try:
                json.loads(text or "")
            except ValueError:
                return f'{name.upper()} must be a JSON list: [{{"{named[name.upper()]}": "k1", "secret": "..."}}]'
    return None
