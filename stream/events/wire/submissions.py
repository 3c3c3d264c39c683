"""Building submission events, of a picture or of several frames: the publishing side of what `intake` reads."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from stream.events.message.messages import Headers, Output
from stream.events.message.session_terms import FrameContext
from stream.events.wire.cloud_events import SPEC_VERSION, STRUCTURED_TYPE, EventType, binary_headers


class Form(StrEnum):
    """The four ways to send a selfie; `binary` costs no base64."""

    BINARY = "binary"
    STRUCTURED = "structured"
    BARE = "bare"
    MODULE = "module"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubmission:
    """Submission as a publisher has it: a picture and ids, made up where none are given. `encrypted`: the picture is a
    compact JWE. `frames`: several frames as JSON has them, in place of the picture, for `capture_outputs`."""

    image: bytes = field(default=b"", repr=False)
    encrypted: bool = False
    submission_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    optional: dict[str, str] = field(default_factory=dict)
    frames: tuple[dict[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFrame:
    """Frame as a publisher has it: an image file's bytes, and what the frame answers."""

    image: bytes = field(repr=False)
    context: FrameContext


def submission_output(new: NewSubmission, topic: str, form: Form = Form.BINARY, source: str = "liveness-cli") -> Output:
    """Record to publish, keyed by correlation id."""
    headers: Headers = ()
    match form:
        case Form.BINARY:
            headers = binary_headers(
                EventType.SUBMISSION,
                event_id=str(uuid.uuid4()),
                source=source,
                subject=new.submission_id,
                content_type="application/jose" if new.encrypted else "application/octet-stream",
                extensions={"correlationid": new.correlation_id}
                | {name.replace("_", ""): value for name, value in new.optional.items()},
            )
            value = new.image
        case Form.STRUCTURED:
            attributes = {"specversion": SPEC_VERSION, "type": str(EventType.SUBMISSION), "source": source}
            attributes |= {"id": str(uuid.uuid4()), "subject": new.submission_id}
            value = orjson.dumps({**attributes, "datacontenttype": "application/json", "data": _object(new)})
            headers = (("content-type", f"{STRUCTURED_TYPE}+json".encode()),)
        case Form.BARE:
            value = orjson.dumps(_object(new))
        case Form.MODULE:
            selfie = {"selfieImage": _text(new)} | ({"selfieImageEncryption": True} if new.encrypted else {})
            context = {"subject": {"biometrics": [selfie]}}
            value = orjson.dumps({**new.optional, "resourceId": new.submission_id, "context": context})
    return Output(topic=topic, key=new.correlation_id.encode(), value=value, headers=headers)


def _object(new: NewSubmission) -> dict[str, Any]:
    shown = {"frames": new.frames} if new.frames else {"image": _text(new)}
    image = shown | ({"image_encryption": "JWE"} if new.encrypted else {})
    return {"submission_id": new.submission_id, "correlation_id": new.correlation_id, **new.optional, **image}


def _text(new: NewSubmission) -> str:
    return (new.image if new.encrypted else base64.b64encode(new.image)).decode("ascii")


def capture_outputs(
    new: NewSubmission, frames: Sequence[NewFrame], topic: str, form: Form = Form.BINARY
) -> Sequence[Output]:
    """Records of a submission of several frames in the order of the capture: in the form `binary` one a frame, each
    with its place among the frames, else one event. Raises ValueError for the form `module`, which has one picture."""
    if form is Form.MODULE:
        raise ValueError("the form module has no place for several frames")
    if form is not Form.BINARY:
        return [submission_output(replace(new, frames=tuple(map(_document, frames))), topic, form)]
    places = [_place(number, len(frames), frame.context) for number, frame in enumerate(frames)]
    return [
        submission_output(replace(new, image=frame.image, optional=new.optional | at), topic)
        for frame, at in zip(frames, places, strict=True)
    ]


def _place(number: int, count: int, context: FrameContext) -> dict[str, str]:
    """Fields of one frame's record; texts, as the attributes of an event are."""
    told = {"frame_at_ms": context.at_ms, "frame_colour": context.colour}
    return {
        "frame_index": str(number),
        "frame_count": str(count),
        "frame_challenge": context.challenge,
        **{name: str(value) for name, value in told.items() if value is not None},
    }


def _document(frame: NewFrame) -> dict[str, Any]:
    context = frame.context
    told = {"challenge": context.challenge, "at_ms": context.at_ms, "colour": context.colour}
    image = {"image": base64.b64encode(frame.image).decode("ascii")}
    return {name: value for name, value in told.items() if value is not None} | image
