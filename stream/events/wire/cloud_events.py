"""CloudEvents 1.0 over Kafka: which of its two modes a record uses, and the headers of what we publish.

Source: CloudEvents Kafka protocol binding 1.0.2 (structured when the content type starts with
`application/cloudevents`, binary when there are `ce_` headers) and the core specification 1.0.2. Since publishers and
connectors often lose or change the content type, a JSON object with the attributes of an event is structured as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from stream.events.message.messages import Headers

SPEC_VERSION = "1.0"
STRUCTURED_TYPE = "application/cloudevents"
ATTRIBUTE_PREFIX = "ce_"


class EventType(StrEnum):
    SUBMISSION = "liveness.submission.v1"
    DECISION = "liveness.decision.v1"
    DETECTION = "liveness.detection.v1"
    DETECTION_PART = "liveness.detection-part.v1"
    AUDIT = "liveness.audit.v1"
    COMMAND = "liveness.command.v1"
    SESSION_IMAGE = "liveness.session-image.v1"
    ABUSE_FLAG = "liveness.abuse-flag.v1"
    SESSION = "liveness.session.v1"
    SESSION_REFUSAL = "liveness.session-refusal.v1"


class Mode(Enum):
    BARE = "bare"
    BINARY = "binary"
    STRUCTURED = "structured"


class EnvelopeError(ValueError):
    """Refusal of a CloudEvents envelope; the message quotes nothing of the record."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Envelope of a record: `attributes` without their prefix (binary mode only), `content_type` lower-case.

    An attribute that comes twice or isn't UTF-8 text is there with None: sent, but of no use.
    """

    mode: Mode
    content_type: str
    attributes: dict[str, str | None]


def unwrap(headers: Headers) -> Envelope:
    """Tell the mode from the headers; never raises, so that sound headers can name a submission in any case."""
    content_type = _content_type(headers)
    if content_type.startswith(STRUCTURED_TYPE):
        return Envelope(Mode.STRUCTURED, content_type, {})
    attributes = _attributes(headers)
    return Envelope(Mode.BINARY if attributes else Mode.BARE, content_type, attributes)


def is_structured(document: Mapping[str, object]) -> bool:
    """Whether a JSON object is an event in structured mode, whatever its headers say."""
    if "specversion" not in document:
        return False
    return not document.keys().isdisjoint({"data", "data_base64"}) or {"type", "id", "source"} <= document.keys()


def _content_type(headers: Headers) -> str:
    value = next((value for name, value in headers if name.lower() == "content-type"), b"")
    return value[:128].decode("ascii", "replace").strip().lower()


def _attributes(headers: Headers) -> dict[str, str | None]:
    attributes: dict[str, str | None] = {}
    for name, value in headers:
        if name.startswith(ATTRIBUTE_PREFIX):
            key = name.removeprefix(ATTRIBUTE_PREFIX)
            try:
                attributes[key] = None if key in attributes else value.decode("utf-8")
            except UnicodeDecodeError:
                attributes[key] = None
    return attributes


def require_submission(attributes: Mapping[str, object]) -> None:
    """Check the envelope's own attributes; raises EnvelopeError with what is missing or unknown."""
    if attributes.get("specversion") != SPEC_VERSION:
        raise EnvelopeError("specversion must be 1.0")
    if attributes.get("type") != EventType.SUBMISSION:
        raise EnvelopeError(f"type must be {EventType.SUBMISSION}")
    for name in ("id", "source"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            raise EnvelopeError(f"{name} is missing")


def binary_headers(
    event_type: EventType,
    *,
    event_id: str,
    source: str,
    subject: str | None = None,
    content_type: str = "application/json",
    extensions: Mapping[str, str | None] | None = None,
) -> Headers:
    """Headers of a binary-mode event; extensions without a value are left out."""
    attributes = {"specversion": SPEC_VERSION, "type": str(event_type), "source": source, "id": event_id}
    if subject is not None:
        attributes["subject"] = subject
    attributes |= {name: value for name, value in (extensions or {}).items() if value is not None}
    wrapped = tuple((ATTRIBUTE_PREFIX + name, value.encode()) for name, value in attributes.items())
    return (*wrapped, ("content-type", content_type.encode()))
