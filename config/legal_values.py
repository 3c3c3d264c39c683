"""Legal values of single settings: annotated types that refuse a value at start-up, in words that quote no secret."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from config.detector_groups import NAME

HIGHEST_PORT = 65_535
#: Characters of a signing or hashing secret.
SHORTEST_SECRET = 32
#: Hash keys at once. With a new key every month, each is taken away again after the next.
MOST_HASH_KEYS = 16
#: Hours that divide a day.
SPANS_H = (1, 2, 3, 4, 6, 8, 12, 24)


class Group(BaseModel):
    """Group of settings: frozen, unknown keys refused, each field described by the string below its line."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HashKeySettings(Group):
    """Hash key: a secret from which keyed hashes and protected templates, or the MACs of records, are derived."""

    id: str = Field(pattern=r"^[a-z0-9]{1,16}$")
    """Its name, seen in published subject keys and in MACs."""
    secret: SecretStr
    """At least 32 characters, the same in every worker."""
    since: AwareDatetime | None = None
    """When it comes into force; unset: from the beginning. Exactly one key has none."""


class GroupKeySettings(Group):
    """Key of a detector group: a secret with which the group's results are signed, and nothing else."""

    group: str = Field(pattern=NAME)
    """Name of the group, as in the policy."""
    secret: SecretStr
    """At least 32 characters. Several keys of one group are all believed, so that one may replace another."""


def _legal_topic_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,80}", value):
        raise ValueError("a topic prefix may hold up to 80 letters, digits, dots, dashes and underscores")
    return value


def _legal_servers(value: str) -> str:
    if not all(_is_server(part) for part in value.split(",")):
        raise ValueError("expected host:port[,host:port...]")
    return value


def _is_server(value: str) -> bool:
    named = re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", value)
    return named is not None and 0 < int(named[2]) <= HIGHEST_PORT


def _legal_redis_url(value: SecretStr) -> SecretStr:
    """Address of Redis, refused here without its password rather than by the client when it connects."""
    try:
        url = urlsplit(value.get_secret_value())
        place = url.path if url.scheme == "unix" else url.hostname
        legal = url.scheme in ("redis", "rediss", "unix") and bool(place) and url.port != 0
    except ValueError:  # a port that is no port
        legal = False
    if not legal:
        raise ValueError("expected redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path")
    return value


def _legal_key_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:._-]{0,100}", value):
        raise ValueError("a key prefix may hold up to 100 letters, digits, colons, dots, dashes, underscores")
    return value


def _legal_keys(kind: str, keys: tuple[HashKeySettings, ...]) -> tuple[HashKeySettings, ...]:
    if any(len(key.secret.get_secret_value()) < SHORTEST_SECRET for key in keys):
        raise ValueError(f"a secret needs at least {SHORTEST_SECRET} characters")
    if len({key.id for key in keys}) != len(keys) or len({key.since for key in keys}) != len(keys):
        raise ValueError(f"{kind} keys must differ in id and in the time they come into force")
    if len(keys) > MOST_HASH_KEYS:
        raise ValueError(f"at most {MOST_HASH_KEYS} {kind} keys: take away those that ended long ago")
    if keys and all(key.since is not None for key in keys):
        raise ValueError(f"one {kind} key must have no since: it is in force until the first of the others")
    return keys


def _legal_span(hours: int) -> int:
    if hours not in SPANS_H:
        raise ValueError(f"expected one of {', '.join(map(str, SPANS_H))}")
    return hours


def _legal_group_keys(keys: tuple[GroupKeySettings, ...]) -> tuple[GroupKeySettings, ...]:
    if any(len(key.secret.get_secret_value()) < SHORTEST_SECRET for key in keys):
        raise ValueError(f"a secret needs at least {SHORTEST_SECRET} characters")
    if len(keys) > MOST_HASH_KEYS:
        raise ValueError(f"at most {MOST_HASH_KEYS} keys of groups")
    return keys


TopicPrefix = Annotated[str, AfterValidator(_legal_topic_prefix)]
Servers = Annotated[str, AfterValidator(_legal_servers)]
RedisUrl = Annotated[SecretStr, AfterValidator(_legal_redis_url)]
KeyPrefix = Annotated[str, AfterValidator(_legal_key_prefix)]
HashKeys = Annotated[tuple[HashKeySettings, ...], AfterValidator(partial(_legal_keys, "hash"))]
RecordKeys = Annotated[tuple[HashKeySettings, ...], AfterValidator(partial(_legal_keys, "record"))]
GroupKeys = Annotated[tuple[GroupKeySettings, ...], AfterValidator(_legal_group_keys)]
#: Hours of one bucket of the face index.
SpanHours = Annotated[int, AfterValidator(_legal_span)]
