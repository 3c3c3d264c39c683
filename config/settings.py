"""Settings: where the services are and how much of this machine to use.

They come from the environment (prefix `LIVENESS_`, `__` between levels) or from a TOML file named by
`LIVENESS_CONFIG`; the environment wins. Unknown keys and combinations that can't work are refused at
start-up; secrets print as stars. What shapes a verdict is not here but in `config.policy`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from config import policy as policies
from config.errors import SettingsError
from config.policy import Policy
from config.validation import mistakes

CONFIG_FILE_VARIABLE = "LIVENESS_CONFIG"
HASH_KEYS_VARIABLE = "LIVENESS_ABUSE__HASH_KEYS"
MIB = 1024 * 1024
HIGHEST_PORT = 65_535
#: Characters of a signing or hashing secret.
SHORTEST_SECRET = 32
#: Hash keys at once. One a month is gone again after the next.
MOST_HASH_KEYS = 16
#: Hours that divide a day.
SPANS_H = (1, 2, 3, 4, 6, 8, 12, 24)
#: A 10 MiB picture in base64 inside JSON, with room for the other fields.
DEFAULT_MAX_EVENT_BYTES = 15 * MIB


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _legal_prefix(value: str) -> str:
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
    """Refused here, without its password, rather than by the client when it connects."""
    try:
        url = urlsplit(value.get_secret_value())
        place = url.path if url.scheme == "unix" else url.hostname
        sound = url.scheme in ("redis", "rediss", "unix") and bool(place) and url.port != 0
    except ValueError:  # a port that is no port
        sound = False
    if not sound:
        raise ValueError("expected redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix:///path")
    return value


def _legal_key_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:._-]{0,100}", value):
        raise ValueError("a key prefix may hold up to 100 letters, digits, colons, dots, dashes, underscores")
    return value


class KafkaSettings(_Group):
    """The broker. `topic_prefix` also sets apart the consumer group and the Redis keys of an installation."""

    bootstrap_servers: Annotated[str, AfterValidator(_legal_servers)] = "127.0.0.1:9092"
    """Addresses of some brokers, host:port, comma-separated."""
    topic_prefix: Annotated[str, AfterValidator(_legal_prefix)] = ""
    """Put before every topic name, the consumer group and the Redis keys."""
    group_id: str | None = Field(None, min_length=1, max_length=200)
    """Consumer group of the workers; the prefix followed by "liveness" unless set."""
    max_event_bytes: int = Field(DEFAULT_MAX_EVENT_BYTES, ge=64 * 1024, le=100 * MIB)
    """Largest submission; drives the topics, the consumer's fetch and the producer's requests."""
    partitions: int = Field(12, ge=1, le=10_000)
    """Partitions of topics yet to be created: the most workers that can share the work."""
    replication_factor: int = Field(-1, ge=-1, le=10)
    """Copies of topics yet to be created; -1 leaves it to the broker's default."""
    fetch_max_wait_ms: int | None = Field(None, ge=1, le=10_000)
    """How long a fetch waits for data; unset leaves the client's own, right for a real broker."""
    embedded: bool = False
    """The broker is the in-process mock: no admin calls, no sizes to check."""


class RedisSettings(_Group):
    """The store of decisions and of the abuse table."""

    url: Annotated[SecretStr, AfterValidator(_legal_redis_url)] = SecretStr("redis://127.0.0.1:6379/0")
    """Where Redis is, with its password if it has one."""
    key_prefix: Annotated[str, AfterValidator(_legal_key_prefix)] | None = None
    """Put before every key; the topic prefix followed by "liveness:" unless set."""
    call_timeout_s: float = Field(1.0, gt=0, le=30)
    """A call unanswered for so long counts as Redis being away."""
    cluster: bool = False
    """The address is that of a node of a Redis Cluster."""
    decision_ttl_s: int = Field(48 * 3600, ge=3600)
    """How long a decision is kept for duplicates; longer than submissions can be replayed."""


class DetectionSettings(_Group):
    """The slot processes: one picture each at a time, killed at the deadline, recycled."""

    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    """Slot processes; one a core unless set."""
    slot_memory_mib: int = Field(3072, ge=512)
    """Address space one slot may use."""
    recycle_after: int = Field(5000, ge=1)
    """Pictures after which a slot is replaced by a fresh one."""
    read_ahead: int = Field(2, ge=0, le=64)
    """Pictures held beyond those being analysed, so that a slot never waits for the next one."""
    face_landmarker_bundle: Path | None = None
    """MediaPipe Tasks bundle (face_landmarker.task); unset uses the mesh inside the mediapipe package."""
    template_manifest: Path | None = None
    """Manifest (TOML) of a face template model, or of a calibration, of your own; unset uses the built-in one."""


class DeliverySettings(_Group):
    """How long to insist before giving up loudly; nothing is ever acknowledged by giving up."""

    send_timeout_s: float = Field(20.0, gt=0)
    """A send that is not confirmed for so long is sent again."""
    output_patience_s: float = Field(120.0, gt=0)
    """An output refused or out of reach for so long ends the process (exit 3), nothing acknowledged."""
    startup_patience_s: float = Field(60.0, gt=0)
    """At start-up the services may take so long to answer (then exit 3)."""
    rebalance_timeout_s: float = Field(60.0, gt=0)
    """How long a worker may take to hand over partitions; longer than the policy's event deadline."""
    session_timeout_s: float = Field(30.0, gt=0)
    """A worker that fell silent keeps its partitions so long; not below the broker's own minimum (6 s)."""
    heartbeat_interval_s: float = Field(3.0, gt=0)
    """How often a worker tells the broker that it is there."""
    request_timeout_s: float = Field(40.0, gt=0)
    """How long a client waits for the broker's answer to any one request."""
    commit_interval_s: float = Field(1.0, gt=0)
    """How often acknowledged positions are committed."""
    max_deciding: int = Field(64, ge=1, le=1024)
    """Detections being decided at once."""
    stall_timeout_s: float = Field(60.0, gt=0)
    """With work at hand and none finished for so long, a worker ends itself (exit 1)."""


class HashKeySettings(_Group):
    """One secret of the keyed hash that stands for an address or a device."""

    id: str = Field(pattern=r"^[a-z0-9]{1,16}$")
    """Its name, seen in published subject keys."""
    secret: SecretStr
    """At least 32 characters, the same in every worker."""
    since: AwareDatetime | None = None
    """When it comes into force; unset: from the beginning. Exactly one key has none."""


def _sound_hash_keys(keys: tuple[HashKeySettings, ...]) -> tuple[HashKeySettings, ...]:
    if any(len(key.secret.get_secret_value()) < SHORTEST_SECRET for key in keys):
        raise ValueError(f"a secret needs at least {SHORTEST_SECRET} characters")
    if len({key.id for key in keys}) != len(keys) or len({key.since for key in keys}) != len(keys):
        raise ValueError("hash keys must differ in id and in the time they come into force")
    if len(keys) > MOST_HASH_KEYS:
        raise ValueError(f"at most {MOST_HASH_KEYS} hash keys: take away those that ended long ago")
    if keys and all(key.since is not None for key in keys):
        raise ValueError("one hash key must have no since: it is in force until the first of the others")
    return keys


def _divides_a_day(hours: int) -> int:
    if hours not in SPANS_H:
        raise ValueError(f"expected one of {', '.join(map(str, SPANS_H))}")
    return hours


class AbuseSettings(_Group):
    """What the abuse table needs from its surroundings; its limits are in the policy."""

    hash_keys: Annotated[tuple[HashKeySettings, ...], AfterValidator(_sound_hash_keys)] = ()
    """Secrets of the keyed hash for addresses and devices, JSON: [{"id", "secret", "since"}]. Unset: neither is \
observed."""
    faces_an_hour: int = Field(25_000, ge=1, le=2_500_000)
    """Faces of one tenant in its busiest hour, at most: more are split over several keys of Redis."""
    face_span_h: Annotated[int, AfterValidator(_divides_a_day)] = 1
    """Hours of one Redis key of faces: 1, 2, 3, 4, 6, 8, 12 or 24. Longer is quicker below about a thousand \
faces an hour, with faces_an_hour set to match."""
    face_search_s: float = Field(0.25, gt=0, le=5)
    """A look for the same face begins no further search after so long; the newest hours are searched first."""
    network_lists: Path | None = None
    """Folder of netset files, one network or address a line; a file's name without its ending is the list's name."""
    network_list_max_age_days: float = Field(14.0, gt=0)
    """A list older than this (its own date line, else the file's) is left out, and the worker says so."""
    network_list_reload_s: float = Field(30.0, gt=0)
    """How often the lists are looked at for changes."""
    asn_database: Path | None = None
    """MaxMind-format database of autonomous systems."""
    country_database: Path | None = None
    """MaxMind-format database of countries."""
    sweep_s: float = Field(5.0, gt=0)
    """How often flags are looked at that may have expired."""


class WebhookSettings(_Group):
    """Where `liveness notify` posts abuse flags; nothing is posted unless both url and secret are set."""

    url: SecretStr | None = None
    """https:// address that receives each flag event."""
    secret: SecretStr | None = None
    """Signs each request (HMAC-SHA256), at least 32 characters."""
    timeout_s: float = Field(5.0, gt=0, le=60)
    """How long one request may take."""
    give_up_after_s: float = Field(600.0, gt=0)
    """Retries end after so long and the flag is set aside in the dead-letter topic."""
    allow_private: bool = False
    """Also http:// and addresses that are not public; for a receiver inside your own network."""


class HttpSettings(_Group):
    """Health and metrics of one worker."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(0, ge=0, le=65535)
    """Port of /live, /ready and /metrics; 0 switches them off."""


class LogSettings(_Group):
    """Structured logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events shown."""
    format: Literal["auto", "json", "console"] = "auto"
    """JSON lines or columns; auto writes columns to a terminal."""


class Settings(BaseSettings):
    """Everything an operator sets. Build it with `load()`, which turns mistakes into one readable error."""

    model_config = SettingsConfigDict(
        env_prefix="LIVENESS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
        use_attribute_docstrings=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    detection: DetectionSettings = DetectionSettings()
    delivery: DeliverySettings = DeliverySettings()
    abuse: AbuseSettings = AbuseSettings()
    webhook: WebhookSettings = WebhookSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    source: str = Field("liveness-stream", pattern=r"^[A-Za-z0-9/._:-]{1,128}$")
    """The `source` of the CloudEvents published here."""
    policy_file: Path | None = None
    """A policy file (TOML); unset uses the built-in policy."""

    @property
    def group_id(self) -> str:
        return self.kafka.group_id or f"{self.kafka.topic_prefix}liveness"

    @property
    def redis_prefix(self) -> str:
        if self.redis.key_prefix is not None:
            return self.redis.key_prefix
        return f"{self.kafka.topic_prefix}liveness:"

    def policy(self) -> Policy:
        """The policy file's contents; raises SettingsError when it can't be used."""
        try:
            return policies.load(self.policy_file)
        except ValidationError as error:
            raise SettingsError(mistakes(error, "settings", "policy.")) from None
        except (OSError, ValueError) as error:
            raise SettingsError(f"policy_file: {error}") from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.delivery.send_timeout_s > self.delivery.output_patience_s:
            raise ValueError("delivery.send_timeout_s can't be longer than delivery.output_patience_s")
        if self.delivery.session_timeout_s <= 3 * self.delivery.heartbeat_interval_s:
            raise ValueError("delivery.session_timeout_s must be longer than three times delivery.heartbeat_interval_s")
        if self.delivery.session_timeout_s >= self.delivery.request_timeout_s:
            raise ValueError("delivery.session_timeout_s must be shorter than delivery.request_timeout_s")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_FILE_VARIABLE)
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(file))) if file else sources


def load(**overrides: Any) -> Settings:
    """Settings from the environment and the TOML file; raises SettingsError with every mistake named."""
    _refuse_unknown_variables(os.environ)
    file = os.environ.get(CONFIG_FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{CONFIG_FILE_VARIABLE} names a file that isn't there: {file}")
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(mistakes(error, "settings")) from None
    except SourceError as error:
        raise SettingsError(_no_hash_keys(os.environ) or str(error)) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{CONFIG_FILE_VARIABLE}: {error}") from None
    _check_with_policy(settings)
    return settings


def _no_hash_keys(environment: Mapping[str, str]) -> str | None:
    """The settings reader names only the group of a variable that is no JSON; this one is easily written so."""
    for name, text in environment.items():
        if name.upper() == HASH_KEYS_VARIABLE:
            try:
                json.loads(text)
            except ValueError:
                return f'{name} must be a JSON list: [{{"id": "k1", "secret": "..."}}]'
    return None


def _check_with_policy(settings: Settings) -> None:
    """Deadlines nest, and what the policy lets in fits through the broker."""
    policy, delivery = settings.policy(), settings.delivery
    event_s = policy.deadlines.event_s
    for name in ("rebalance_timeout_s", "stall_timeout_s"):
        limit = getattr(delivery, name)
        if event_s >= limit:
            raise SettingsError(
                f"delivery.{name} ({limit:g}) must be longer than the policy's deadlines.event_s ({event_s:g})"
            )
    if policy.image.max_bytes >= settings.kafka.max_event_bytes:
        raise SettingsError(
            f"kafka.max_event_bytes ({settings.kafka.max_event_bytes}) must be more than "
            f"the policy's image.max_bytes ({policy.image.max_bytes})"
        )


#: Variables with the prefix that are not settings of the processor: the tests' and the local services' own.
_OTHER_VARIABLES = frozenset(
    {CONFIG_FILE_VARIABLE, "LIVENESS_REQUIRE_REAL", "LIVENESS_CACHE_DIR", "LIVENESS_REDIS_SERVER"}
    | {"LIVENESS_TEST_IMAGES", "LIVENESS_TEST_MODELS", "LIVENESS_SLOT_STDERR"}
)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be silently ignored by the settings reader: say so instead."""
    groups = {name.upper() for name in Settings.model_fields}
    for name in environment:
        if not name.startswith("LIVENESS_") or name in _OTHER_VARIABLES:
            continue
        if name.removeprefix("LIVENESS_").split("__")[0] not in groups:
            raise SettingsError(f"{name} is not a setting; the groups are {', '.join(sorted(groups))}")
