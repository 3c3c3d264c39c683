"""Settings of keys by which records, selfies, sessions and commands are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from config.legal_values import Group, RecordKeys
from config.limits.abuse import RULE_NAMES


class EncryptionSettings(Group):
    """Encrypted selfies; without keys here they are answered DECRYPTION_FAILED."""

    keys: Path | None = None
    """Folder of private keys, one a file: a JWK (*.json, *.jwk) or PEM (*.pem), whose name without its ending is the \
kid where the key has none."""
    key_reload_s: float = Field(30.0, gt=0)
    """How often the keys are looked at for changes."""


class SessionSettings(Group):
    """Sessions and their tokens; without keys here no session is created, and a token that comes is refused by name."""

    keys: Path | None = None
    """Folder of private Ed25519 keys (`liveness keys session`) that sign session tokens, the same in every worker."""
    key_reload_s: float = Field(30.0, gt=0)
    """How often the keys are looked at for changes."""
    image_keys: Path | None = None
    """Folder of public keys, TENANT.json or TENANT.pem, to which session images are encrypted; @.json is for \
submissions without tenant. Without a key of the tenant no picture is published."""
    signing_key: str | None = Field(None, pattern=r"^[!-~]{1,128}$")
    """Kid of the key that signs new tokens; unset: the last by name. Tokens of every key in the folder are good."""
    audience: str | None = Field(None, pattern=r"^[!-~]{1,128}$")
    """Audience of the tokens, which tells installations with the same keys apart; the topic prefix followed by \
"liveness" unless set."""
    required: bool = False
    """A submission without a session token is refused. A tenant may ask for the same by `settings.update`."""
    require_head_turn: bool = False
    """A session with challenges among which is no head turn is refused; otherwise the answer warns. A tenant may ask \
for the same by `settings.update`. Off, since the API lets a session name any of the challenges."""
    attempts: int = Field(1, ge=1, le=3)
    """Attempts of a session that names none."""
    token_lifetime_s: int = Field(600, ge=60, le=86_400)
    """How long the token of a session lives that names no lifetime."""
    retention_s: int = Field(86_400, ge=3600, le=30 * 86_400)
    """How long a session is kept once its token has expired; as long a client request token finds its session."""
    expiry_grace_s: float = Field(120.0, ge=0, le=3600)
    """A session ends as expired so long after its token: submissions sent in time may still be under way."""
    stop_severity: Literal["low", "medium", "high", "critical"] = "high"
    """An open flag on the correlation id of at least this severity stops new sessions, enforced or not. A pause or \
block in force does so whatever its flag."""
    stop_kinds: tuple[str, ...] | None = None
    """Kinds of flags that stop new sessions, JSON: ["face_reuse"]; unset: every kind."""

    @model_validator(mode="after")
    def _check_sessions(self) -> Self:
        if self.required and self.keys is None:
            raise ValueError("required: needs sessions.keys")
        if unknown := sorted(set(self.stop_kinds or ()) - set(RULE_NAMES)):
            raise ValueError(f"stop_kinds: no rule raises {', '.join(unknown)}")
        return self


class RecordSettings(Group):
    """MACs of internal records: detections, decisions, flags, events of sessions and audit entries."""

    keys: RecordKeys = ()
    """Secrets of the MACs, JSON: [{"id", "secret", "since"}], the same in every worker and notifier. Unset: any \
writer of an internal topic is believed."""
    unsigned_until: AwareDatetime | None = None
    """Records that the broker appended before this moment are believed without a MAC: until all workers have the \
keys, and for what was written before."""
    required: bool = False
    """No worker, notifier or rebuild starts without keys."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.required and not self.keys:
            raise ValueError("required: needs records.keys")
        return self


class CommandSettings(Group):
    """Signatures of reviewers' commands."""

    reviewers: Path | None = None
    """File (TOML) of reviewers' public keys and what each may order; a signed command is checked by it."""
    require_signature: bool = False
    """A command without a right signature is set aside."""
    reload_s: float = Field(30.0, gt=0)
    """How often the file is looked at for changes."""
    signing_key: Path | None = None
    """Private key (`liveness keys reviewer`) with which `liveness abuse` signs commands."""

    @model_validator(mode="after")
    def _check_reviewers(self) -> Self:
        if self.require_signature and self.reviewers is None:
            raise ValueError("require_signature: needs commands.reviewers")
        return self
