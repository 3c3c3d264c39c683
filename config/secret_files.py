"""Secrets from files: a variable's value in the file that the variable with `_FILE` behind its name leads to, or in a
mounted folder (`LIVENESS_SECRETS_DIR`) with a file for each variable, named as the variable is.

A variable and its `_FILE` together are refused; either is used before a file of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.errors import SettingsError

SECRETS_DIR_VARIABLE = "LIVENESS_SECRETS_DIR"
#: Fields that hold secrets, by group; each may come from a file.
SECRETS = {
    "kafka": ("sasl_password", "ssl_key_password"),
    "redis": ("url", "password", "ssl_key_password"),
    "abuse": ("hash_keys",),
    "records": ("keys",),
    "join": ("group_keys",),
    "webhook": ("url", "secret"),
}
_PREFIX, _SUFFIX = "liveness_", "_file"
_SECRET_VARIABLES = frozenset(f"{_PREFIX}{group}__{field}" for group, fields in SECRETS.items() for field in fields)
#: Far above any secret; a larger file is not the one that was meant.
LARGEST_BYTES = 64 * 1024


def with_secrets(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Variables, their names in small letters, with the contents of files in place of the files' names.

    Blocks. Raises SettingsError naming the variable or file at fault, and no content.
    """
    given = {name.lower(): value for name, value in variables.items()}
    leading = {name: name.removesuffix(_SUFFIX) for name in given if name.removesuffix(_SUFFIX) in _SECRET_VARIABLES}
    files = {name: base for name, base in leading.items() if name != base}
    found = {**_mounted(given), **{name: value for name, value in given.items() if name not in files}}
    for name, base in files.items():
        if not (file := given[name]):
            continue
        if given.get(base):
            raise SettingsError(f"{base.upper()} and {name.upper()} are both set; give the secret in one place")
        found[base] = _content(Path(file), name.upper())
    return found


def without_contents(variables: Mapping[str, str]) -> list[str]:
    """Names of the variables and of the folder's files. No content is read, since a pipe can be read only once.

    Blocks. Raises SettingsError for a folder that can't be read.
    """
    mounted = _files({name.lower(): value for name, value in variables.items()})
    return [*variables, *(file.name.upper() for file in mounted)]


def _mounted(given: Mapping[str, str | None]) -> dict[str, str | None]:
    """Contents of the folder's files that are named as variables are; other files belong to others."""
    return {file.name.lower(): _content(file, SECRETS_DIR_VARIABLE) for file in _files(given)}


def _files(given: Mapping[str, str | None]) -> list[Path]:
    place = given.get(SECRETS_DIR_VARIABLE.lower())
    if not place:
        return []
    try:
        return [file for file in Path(place).iterdir() if file.name.lower().startswith(_PREFIX) and file.is_file()]
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR_VARIABLE}: {place} can't be read ({error.strerror})") from None


def _content(file: Path, named: str) -> str:
    """Text of a secret's file without the line break that editors and `echo` put at its end."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{named}: {file} can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{named}: {file} is no text") from None
    if not text or len(content) > LARGEST_BYTES:
        raise SettingsError(f"{named}: {file} {'is too large for a secret' if text else 'is empty'}")
    return text
