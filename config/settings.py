"""Settings: where the services are and how much of this machine to use.

Values come from the environment (prefix `LIVENESS_`, `__` between levels) or from a TOML file named by
`LIVENESS_CONFIG`; the environment wins. Secrets may come from files of their own (`config.secret_files`). Unknown keys
and combinations that can't work are refused at start-up; secrets print as stars. Thresholds and weights of a verdict
are in `config.policy`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from config import policy as policies
from config.cache import cache_folder
from config.catalogues import pad_networks
from config.environment import CONFIG_FILE_VARIABLE, malformed_keys, refuse_unknown_variables
from config.errors import SettingsError
from config.groups.abuse_table import AbuseSettings
from config.groups.authentication import CommandSettings, EncryptionSettings, RecordSettings, SessionSettings
from config.groups.processing import DeliverySettings, DetectionSettings, JoinSettings
from config.groups.services import HttpSettings, KafkaSettings, LogSettings, RedisSettings, WebhookSettings
from config.policy import Policy
from config.secret_files import with_secrets, without_contents
from config.tls import client_context
from config.validation import mistakes


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
