"""Dead letters: a record set aside with its bytes unchanged and the reason in headers.

Headers of the original are kept only if they name the event; those that carry personal data (address,
device, token) stay out. `source_*` headers tell where the record came from, so that a repeat is recognised.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from stream.events.message.messages import Fault, Headers, Output, Poison, Record
from stream.runtime import metrics

#: Original headers that are safe to keep, and how much of each.
KEPT_HEADERS = frozenset({"content-type", "ce_specversion", "ce_type", "ce_id", "ce_subject", "ce_correlationid"})
KEPT_HEADER_BYTES = 256
#: What we add, in this order.
WHY_HEADERS = ("reason", "message", "source_topic", "source_partition", "source_offset", "source_timestamp_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Maker of one stage's dead letters: the topic, and how large a record may be to keep its bytes."""

    topic: str
    max_bytes: int

    def letter(self, record: Record, *, reason: str, message: str, fault: Fault = Fault.DEAD_LETTER) -> Output:
        """Dead letter of a record, counted by its reason, which is from a closed set; `message` quotes nothing of the
        record, `fault` is for the circuit breaker.

        A record of more than `max_bytes`, which can only come packed, is set aside without key and value: their number
        and digest stand in. A record without key and value gets an empty value, since no client sends neither.
        """
        metrics.DEAD_LETTERS.labels(reason=reason).inc()
        facts = (reason, message, record.topic, record.partition, record.offset, record.appended_at_ms)
        why: Headers = tuple((name, str(fact).encode()) for name, fact in zip(WHY_HEADERS, facts, strict=True))
        key, value = record.key, record.value
        if len(key or b"") + len(value or b"") > self.max_bytes:
            why = (*why, *_digest(value or b""))
            key, value = (key or b"")[:KEPT_HEADER_BYTES], None
        elif key is None and value is None:
            value = b""
        return Output(topic=self.topic, key=key, value=value, headers=(*why, *_kept(record.headers)), fault=fault)

    def poison(self, record: Record, why: Poison) -> Output:
        """Dead letter of a record that its writer spoilt: no sign of a failing worker."""
        return self.letter(record, reason=why.reason, message=why.message, fault=Fault.POISON)


def _kept(headers: Headers) -> Headers:
    """The first of each name: a header that comes hundreds of times would take the letter over the topic's limit."""
    first: dict[str, tuple[str, bytes]] = {}
    for name, value in headers:
        if name.lower() in KEPT_HEADERS:
            first.setdefault(name.lower(), (name, value[:KEPT_HEADER_BYTES]))
    return tuple(first.values())


def _digest(value: bytes) -> Headers:
    return (("value_bytes", str(len(value)).encode()), ("value_sha256", hashlib.sha256(value).hexdigest().encode()))


def described(record: Record) -> dict[str, str | int]:
    """Dead letter for people and scripts: why and from where, and how many bytes; never the bytes."""
    why = {name: value.decode("utf-8", "replace") for name, value in record.headers if name in WHY_HEADERS}
    return {**why, "bytes": len(record.value or b"")}
