"""The operator's file of reviewers: whose key signs commands, and what each may order; kept current in a worker.

    [roles]
    reviewer = ["flag.confirm", "flag.override", "correlation.reset"]

    [keys.ann-2026]
    actor = "ann"
    roles = ["reviewer"]
    public = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

If anything is wrong with a newer file, the last good one stays in use; every such change is logged once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import StringConstraints, ValidationError

from abuse.networks.watched_files import FileRefused, WatchedFile, reason
from config.errors import SettingsError
from config.validation import fields_at_fault
from stream.encryption.key_files import KID, KeyRefused
from stream.encryption.reviewer_keys import PublicKey, read_public_key
from stream.review.commands import COMMANDS
from stream.review.kinds.base import ACTOR, StrictFields

log = structlog.get_logger()

MAX_FILE_BYTES = 256 * 1024


class _Key(StrictFields):
    actor: Annotated[str, StringConstraints(pattern=ACTOR)]
    roles: list[str]
    public: str


class _File(StrictFields):
    roles: dict[str, list[str]]
    keys: dict[str, _Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """Reviewer, by a key: the actor whose key it is, and the commands that the key may order."""

    key_id: str
    actor: str
    commands: frozenset[str]
    key: PublicKey


Reviewers = Mapping[str, Reviewer]


def reviewers_of(content: bytes) -> Reviewers:
    """Reviewers of a file's content, by key id. Raises FileRefused, which names key ids, and quotes no key."""
    try:
        file = _File.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        raise FileRefused(f"missing, unknown or malformed: {', '.join(fields_at_fault(error))}") from None
    except (ValueError, RecursionError):  # no text, or no TOML
        raise FileRefused("is no TOML file") from None
    unknown = {name for names in file.roles.values() for name in names} - COMMANDS.keys()
    if unknown:
        raise FileRefused(f"roles order what is no command; the commands are {', '.join(COMMANDS)}")
    return {key_id: _reviewer(key_id, key, file.roles) for key_id, key in file.keys.items()}


def _reviewer(key_id: str, key: _Key, roles: Mapping[str, list[str]]) -> Reviewer:
    if not KID.fullmatch(key_id):
        raise FileRefused("a key's name must be 1 to 128 visible ASCII characters")
    if not set(key.roles) <= roles.keys():
        raise FileRefused(f"keys.{key_id}: has a role that is not among roles")
    try:
        public = read_public_key(key.public)
    except KeyRefused as error:
        raise FileRefused(f"keys.{key_id}: public {error}") from None
    commands = frozenset(name for role in key.roles for name in roles[role])
    return Reviewer(key_id=key_id, actor=key.actor, commands=commands, key=public)


class ReviewersFile:
    """Reviewers of a file. `find` is called by the command stage, `refresh` by a watch."""

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path, max_bytes=MAX_FILE_BYTES)
        self._reviewers: Reviewers = {}
        self._fault: str | None = None

    def find(self, key_id: str) -> Reviewer | None:
        return self._reviewers.get(key_id)

    def open(self) -> None:
        """The first look. Blocks. Raises SettingsError for a file that can't be used."""
        self.refresh()
        if self._fault is not None:
            raise SettingsError(f"commands.reviewers: {self._file.path}: {self._fault}")

    def refresh(self) -> None:
        """Look again. Blocks, so not for the event loop. Raises nothing for a broken file."""
        fault = None
        try:
            content = self._file.news()
            if content is None:
                return
            self._reviewers = reviewers_of(content)
        except (OSError, FileRefused) as error:
            fault = reason(error)
        if fault is None:
            log.info("reviewers", keys=sorted(self._reviewers))
        elif fault != self._fault:
            log.error("reviewers_unusable", why=fault, kept=sorted(self._reviewers))
        self._fault = fault
