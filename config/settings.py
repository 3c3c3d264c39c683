"""Settings: where the services are and how much of this machine to use.

Values come from the environment (prefix `LIVENESS_`, `__` between levels) or from a TOML file named by
`LIVENESS_CONFIG`; the environment wins. Secrets may come from files of their own (`config.secret_files`). Unknown keys
and combinations that can't work are refused at start-up; secrets print as stars. Thresholds and weights of a verdict
are in `config.policy`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from config import pad_networks
from config import policy as policies
from config.abuse import RULE_NAMES
from config.cache import cache_folder
from config.connections import KafkaSecurity, RedisSecurity
from config.environment import CONFIG_FILE_VARIABLE, malformed_keys, refuse_unknown_variables
from config.errors import SettingsError
from config.legal_values import (
    Group,
    GroupKeys,
    HashKeys,
    KeyPrefix,
    RecordKeys,
    RedisUrl,
    Servers,
    SpanHours,
    TopicPrefix,
)
from config.policy import Policy
from config.secret_files import with_secrets, without_contents
from config.tls import client_context
from config.validation import mistakes

MIB = 1024 * 1024
#: A 10 MiB picture in base64 inside JSON, with room for the other fields.
DEFAULT_MAX_EVENT_BYTES = 15 * MIB


class KafkaSettings(KafkaSecurity):
    """Kafka. `topic_prefix` also sets apart the consumer group and the Redis keys of an installation."""

    bootstrap_servers: Servers = "127.0.0.1:9092"
    """Addresses of some brokers, host:port, comma-separated."""
    topic_prefix: TopicPrefix = ""
    """Put before every topic name, the consumer group and the Redis keys."""
    group_id: str | None = Field(None, min_length=1, max_length=200)
    """Consumer group of the workers; the prefix followed by "liveness" unless set."""
    max_event_bytes: int = Field(DEFAULT_MAX_EVENT_BYTES, ge=64 * 1024, le=100 * MIB)
    """Largest submission; drives the topics, the consumer's fetch and the producer's requests."""
    partitions: int = Field(12, ge=1, le=10_000)
    """Partitions of topics yet to be created: the most workers that can share the work."""
    replication_factor: int = Field(-1, ge=-1, le=10)
    """Copies of topics yet to be created; -1 leaves it to the broker's default."""
    metadata_max_age_s: float = Field(10.0, ge=1, le=300)
    """How soon clients notice that a topic was made anew or got partitions."""
    fetch_max_wait_ms: int = Field(500, ge=1, le=10_000)
    """How long a fetch waits for data. After a rebalance a worker reads on once two such waits have ended."""
    embedded: bool = False
    """The broker is the in-process mock: no admin calls, no sizes to check."""


class RedisSettings(RedisSecurity):
    """Redis, which holds decisions and the abuse table."""

    url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """Where Redis is, with its password if it has one."""
    key_prefix: KeyPrefix | None = None
    """Put before every key; the topic prefix followed by "liveness:" unless set."""
    call_timeout_s: float = Field(1.0, gt=0, le=30)
    """A call unanswered for so long counts as Redis being away."""
    cluster: bool = False
    """The address is that of a node of a Redis Cluster."""
    allow_eviction: bool = False
    """Also work on a Redis that drops keys when full (a `maxmemory-policy` other than noeviction): pauses, blocks and
    decisions then vanish."""
    accept_loss: bool = False
    """Also work on a Redis that lost its content: pauses, blocks and decisions from before are forgotten."""
    max_clock_difference_s: float = Field(30.0, gt=0, le=3600)
    """A worker whose clock differs more from Redis' clock does not start (exit 2); one that runs says so."""
    decision_ttl_s: int = Field(48 * 3600, ge=3600)
    """How long a decision is kept for duplicates; longer than submissions can be replayed."""

    @property
    def has_tls(self) -> bool:
        """Whether the address is one with TLS."""
        return urlsplit(self.url.get_secret_value()).scheme == "rediss"

    @model_validator(mode="after")
    def _check_redis(self) -> Self:
        if fault := next(self._redis_faults(self.url.get_secret_value()), None):
            raise ValueError(fault)
        return self


class DetectionSettings(Group):
    """Slots: processes that analyse one frame at a time, killed at the deadline, recycled."""

    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    """Slot processes; one a core unless set."""
    slot_memory_mib: int = Field(3072, ge=512)
    """Address space one slot may use."""
    recycle_after: int = Field(5000, ge=1)
    """Pictures after which a slot is replaced by a fresh one."""
    confinement: Literal["warn", "require", "off"] = "warn"
    """What to do where this system lacks a layer of the slots' confinement: say so and go on, or refuse to start \
(exit 2); `off` switches all layers off, for debuggers."""
    read_ahead: int = Field(2, ge=0, le=64)
    """Pictures held beyond those being analysed, so that a slot never waits for the next one."""
    waiting_mib: int = Field(64, ge=0, le=4096)
    """Submissions that wait for a turn, MiB in all and at most 48; among these the next is chosen fairly. 0: the \
order of the topic."""
    fair_share: float = Field(0.5, gt=0, le=1)
    """Most of the slots that one tenant, correlation id or device has while others wait; 1 sets no bound."""
    face_landmarker_bundle: Path | None = None
    """MediaPipe Tasks bundle (face_landmarker.task); unset uses the mesh inside the mediapipe package."""
    template_manifest: Path | None = None
    """Manifest (TOML) of a face template model, or of a calibration, of your own; unset uses the built-in one."""
    pad_networks: tuple[str, ...] | None = None
    """Presentation-attack networks by name, JSON: ["minifasnet_v2"]; unset: those that `liveness models fetch` has \
fetched and that need no acceptance. A network named here counts as accepted, and must be there."""
    pad_manifests: tuple[Path, ...] = ()
    """Manifests (TOML) of presentation-attack networks of your own, JSON: ["my.toml"]; they take part beside the \
others."""


class DeliverySettings(Group):
    """Patience with Kafka and Redis; a worker that gives up ends loudly and acknowledges nothing."""

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
    breaker_failures: int = Field(20, ge=0)
    """So many records in a row that fail inside the worker (no fault of the record) end the process (exit 1), the \
last one unacknowledged; 0 never."""
    breaker_share: float = Field(0.5, gt=0, le=1)
    """More than this share of the last 200 records failing inside the worker ends the process too."""
    breaker_dead_letters: int = Field(500, ge=0)
    """So many records in a row set aside after work on them failed end the process (exit 1); 0 never. Poison and \
forged records don't count: any publisher could send them."""
    breaker_poison: int = Field(0, ge=0)
    """So many records in a row that can't be read end the process (exit 1); 0 never. Set this where your own systems \
alone publish: a deploy that can read nothing then stops, and so does one that is sent nothing readable."""


class AbuseSettings(Group):
    """Hash keys, lists and sizes of the abuse table; limits of the rules are in the policy."""

    hash_keys: HashKeys = ()
    """Secrets of the keyed hash for addresses and devices, JSON: [{"id", "secret", "since"}]. Unset: neither is \
observed."""
    faces_an_hour: int = Field(25_000, ge=1, le=2_500_000)
    """Has no effect any more: keys of Redis that are full are followed by further ones."""
    face_span_h: SpanHours = 24
    """Hours of one Redis key of faces: 1, 2, 3, 4, 6, 8, 12 or 24. Shorter lets faces expire closer to the \
window's end; a search takes nearly twice as long with twice the keys."""
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
    """MACs of internal records: detections, decisions, flags and audit entries."""

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


class JoinSettings(Group):
    """The join: how long a decision waits for what arrives in parts, by Redis' clock."""

    frames_s: float = Field(120.0, gt=0, le=3600)
    """So long after the first frame of a submission that is sent as a record a frame, the rest counts as missing; \
longer than a worker's fall and the rebalance after it take."""
    groups_s: float = Field(30.0, gt=0, le=3600)
    """So long after a detection, the result of a detector group (the policy's `groups`) counts as missing."""
    group_keys: GroupKeys = ()
    """Secrets with which detector groups sign their results, JSON: [{"group", "secret"}]; needed for each group where \
records.keys are set."""


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


class WebhookSettings(Group):
    """Webhook to which `liveness notify` posts flag events; nothing is posted unless both url and secret are set."""

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


class HttpSettings(Group):
    """Health and metrics of one worker."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(0, ge=0, le=65535)
    """Port of /live, /ready and /metrics; 0 switches them off."""


class LogSettings(Group):
    """Structured logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events shown."""
    format: Literal["auto", "json", "console"] = "auto"
    """JSON lines or columns; auto writes columns to a terminal."""


class Settings(BaseSettings):
    """Settings of one process. Made by `load()`, which turns mistakes into one readable error."""

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
    encryption: EncryptionSettings = EncryptionSettings()
    sessions: SessionSettings = SessionSettings()
    records: RecordSettings = RecordSettings()
    join: JoinSettings = JoinSettings()
    commands: CommandSettings = CommandSettings()
    webhook: WebhookSettings = WebhookSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    source: str = Field("liveness-stream", pattern=r"^[A-Za-z0-9/._:-]{1,128}$")
    """The `source` of the CloudEvents published here."""
    policy_file: Path | None = None
    """A policy file (TOML); unset uses the policy `learned` where presentation-attack networks take part, else \
`signals`."""

    @property
    def group_id(self) -> str:
        return self.kafka.group_id or f"{self.kafka.topic_prefix}liveness"

    @property
    def redis_prefix(self) -> str:
        if self.redis.key_prefix is not None:
            return self.redis.key_prefix
        return f"{self.kafka.topic_prefix}liveness:"

    @property
    def session_audience(self) -> str:
        return self.sessions.audience or f"{self.kafka.topic_prefix}liveness"

    def policy(self) -> Policy:
        """Policy from the policy file, or one that ships; raises SettingsError when the file can't be used."""
        try:
            return policies.load(self.policy_path())
        except ValidationError as error:
            raise SettingsError(mistakes(error, "file", "policy.")) from None
        except (OSError, ValueError) as error:
            raise SettingsError(f"policy_file: {error}") from None

    def policy_path(self) -> Path:
        """Policy file in use; raises ValueError for a presentation-attack network that is unknown."""
        detection = self.detection
        networks = detection.pad_manifests or pad_networks.chosen(detection.pad_networks, cache_folder())
        return self.policy_file or (policies.LEARNED if networks else policies.SIGNALS)

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
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = with_secrets(os.environ)
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(file))) if file else sources


def load(**overrides: Any) -> Settings:
    """Settings from the environment and the TOML file; raises SettingsError with every mistake named."""
    refuse_unknown_variables(without_contents(os.environ), Settings.model_fields)
    file = os.environ.get(CONFIG_FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{CONFIG_FILE_VARIABLE} names a file that isn't there: {file}")
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(mistakes(error, "settings")) from None
    except SourceError as error:
        raise SettingsError(malformed_keys(with_secrets(os.environ)) or str(error)) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{CONFIG_FILE_VARIABLE}: {error}") from None
    _check_with_policy(settings)
    _check_certificates(settings)
    return settings


def _check_certificates(settings: Settings) -> None:
    """Files of certificates and keys tried, so that one that can't be used is told at the start, by its setting."""
    if settings.kafka.security_protocol.endswith("SSL"):
        client_context(settings.kafka, "kafka")
    if settings.redis.has_tls:
        client_context(settings.redis, "redis", verify=settings.redis.ssl_verify)


def _check_with_policy(settings: Settings) -> None:
    """Settings checked against the policy: deadlines nest, and the largest image fits through the broker."""
    policy, delivery = settings.policy(), settings.delivery
    event_s = policy.deadlines.event_s
    for name in ("rebalance_timeout_s", "stall_timeout_s"):
        limit = getattr(delivery, name)
        if event_s >= limit:
            raise SettingsError(
                f"delivery.{name} ({limit:g}) must be longer than the policy's deadlines.event_s ({event_s:g})"
            )
    _check_groups(settings, policy)
    if policy.image.max_bytes >= settings.kafka.max_event_bytes:
        raise SettingsError(
            f"kafka.max_event_bytes ({settings.kafka.max_event_bytes}) must be more than "
            f"the policy's image.max_bytes ({policy.image.max_bytes})"
        )


def _check_groups(settings: Settings, policy: Policy) -> None:
    """Keys of detector groups checked against the policy: a group without one would be let past the record MACs."""
    keyed = {key.group for key in settings.join.group_keys}
    if unknown := sorted(keyed - policy.groups.keys()):
        raise SettingsError(f"join.group_keys: the policy's groups have no {unknown[0]}")
    unsigned = sorted(policy.groups.keys() - keyed)
    if settings.records.keys and unsigned:
        raise SettingsError(f"join.group_keys: group {unsigned[0]} needs a key, since records.keys are set")
