"""Settings of the services a process connects to or offers: Kafka, Redis, a webhook, health and logs."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from config.connections import KafkaSecurity, RedisSecurity
from config.legal_values import Group, KeyPrefix, RedisUrl, Servers, TopicPrefix

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
