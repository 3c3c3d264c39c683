"""Building submission events: the publishing side of the contract that `intake` reads."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from stream.events.cloud_events import SPEC_VERSION, STRUCTURED_TYPE, EventType, binary_headers
from stream.events.messages import Output


class Form(StrEnum):
    """The four ways to send a selfie; `binary` costs no base64."""

    BINARY = "binary"
    STRUCTURED = "structured"
    BARE = "bare"
    MODULE = "module"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubmission:
    """Submission as a publisher has it: a picture and ids, made up where none are given."""

    image: bytes = field(repr=False)
    submission_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    optional: dict[str, str] = field(default_factory=dict)


def submission_output(new: NewSubmission, topic: str, form: Form = Form.BINARY, source: str = "liveness-cli") -> Output:
    """Record to publish, keyed by correlation id."""
    key = new.correlation_id.encode()
    match form:
        case Form.BINARY:
            extensions: dict[str, str | None] = {name.replace("_", ""): value for name, value in new.optional.items()}
            headers = binary_headers(
                EventType.SUBMISSION,
                event_id=str(uuid.uuid4()),
                source=source,
                subject=new.submission_id,
                content_type="application/octet-stream",
                extensions={"correlationid": new.correlation_id, **extensions},
            )
            return Output(topic=topic, key=key, value=new.image, headers=headers)
        case Form.STRUCTURED:
            event = {
                "specversion": SPEC_VERSION,
                "type": str(EventType.SUBMISSION),
                "source": source,
                "id": str(uuid.uuid4()),
                "subject": new.submission_id,
                "datacontenttype": "application/json",
                "data": _object(new),
            }
            content_type = (("content-type", f"{STRUCTURED_TYPE}+json".encode()),)
            return Output(topic=topic, key=key, value=orjson.dumps(event), headers=content_type)
        case Form.BARE:
            return Output(topic=topic, key=key, value=orjson.dumps(_object(new)), headers=())
        case Form.MODULE:
            selfie = {"selfieImage": base64.b64encode(new.image).decode("ascii")}
            envelope = {"resourceId": new.submission_id, "context": {"subject": {"biometrics": [selfie]}}}
            return Output(topic=topic, key=key, value=orjson.dumps(envelope), headers=())


def _object(new: NewSubmission) -> dict[str, Any]:
    image = base64.b64encode(new.image).decode("ascii")
    return {"submission_id": new.submission_id, "correlation_id": new.correlation_id, **new.optional, "image": image}
