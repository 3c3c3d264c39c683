"""Dead letters: a record set aside with its bytes unchanged and the reason in headers.

Headers of the original are kept only if they name the event; those that carry personal data (address,
device, token) stay out. `source_*` headers tell where it came from, so that a repeat is recognised.
"""

from __future__ import annotations

from stream.messages import Headers, Output, Record

#: Original headers that are safe to keep, and how much of each.
KEPT_HEADERS = frozenset({"content-type", "ce_specversion", "ce_type", "ce_id", "ce_subject", "ce_correlationid"})
KEPT_HEADER_BYTES = 256
#: What we add, in this order.
WHY_HEADERS = (
    "reason",
    "message",
    "source_topic",
    "source_partition",
    "source_offset",
    "source_timestamp_ms",
)


def dead_letter(record: Record, topic: str, *, reason: str, message: str) -> Output:
    """`reason` is machine-readable and from a closed set; `message` quotes nothing of the record."""
    facts = (reason, message, record.topic, record.partition, record.offset, record.appended_at_ms)
    why: Headers = tuple((name, str(fact).encode()) for name, fact in zip(WHY_HEADERS, facts, strict=True))
    kept = tuple((name, value[:KEPT_HEADER_BYTES]) for name, value in record.headers if name.lower() in KEPT_HEADERS)
    return Output(topic=topic, key=record.key, value=record.value, headers=(*why, *kept))


def described(record: Record) -> dict[str, str | int]:
    """A dead letter for people and scripts: why and from where, and how many bytes; never the bytes."""
    why = {name: value.decode("utf-8", "replace") for name, value in record.headers if name in WHY_HEADERS}
    return {**why, "bytes": len(record.value or b"")}
