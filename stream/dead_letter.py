"""Dead letters: a record set aside with its bytes unchanged and the reason in headers.

Headers of the original are kept only if they name the event; those that carry personal data (address,
device, token) stay out. `source_*` headers tell where it came from, so that a repeat is recognised.
"""

from __future__ import annotations

from stream.messages import Headers, Output, Record

#: Original headers that are safe to keep, and how much of each.
KEPT_HEADERS = frozenset(
    {"content-type", "ce_specversion", "ce_type", "ce_id", "ce_subject", "ce_correlationid"}
)
KEPT_HEADER_BYTES = 256


def dead_letter(record: Record, topic: str, *, reason: str, message: str) -> Output:
    """`reason` is machine-readable and from a closed set; `message` quotes nothing of the record."""
    why: Headers = (
        ("reason", reason.encode()),
        ("message", message.encode()),
        ("source_topic", record.topic.encode()),
        ("source_partition", str(record.partition).encode()),
        ("source_offset", str(record.offset).encode()),
        ("source_timestamp_ms", str(record.appended_at_ms).encode()),
    )
    kept = tuple(
        (name, value[:KEPT_HEADER_BYTES]) for name, value in record.headers if name.lower() in KEPT_HEADERS
    )
    return Output(topic=topic, key=record.key, value=record.value, headers=(*why, *kept))
