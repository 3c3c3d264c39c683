"""Building submissions of several frames: the publishing side of what `intake` reads under a session's token.

`binary` sends one record a frame, each with its place among the frames; `structured` and `bare` send one event.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stream.events.message.messages import Output
from stream.events.message.session_terms import FrameContext
from stream.events.wire.submissions import Form, NewSubmission, submission_output


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFrame:
    """Frame as a publisher has it: an image file's bytes, and what the frame answers."""

    image: bytes = field(repr=False)
    context: FrameContext


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCapture:
    """Submission of several frames as a publisher has it, in the order of the capture."""

    frames: tuple[NewFrame, ...]
    submission_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    optional: dict[str, str] = field(default_factory=dict)


def capture_outputs(new: NewCapture, topic: str, form: Form = Form.BINARY) -> Sequence[Output]:
    """Records to publish, keyed by correlation id. Raises ValueError for the form `module`, which has one picture."""
    if form is Form.MODULE:
        raise ValueError("the form module has no place for several frames")
    one = NewSubmission(
        image=b"", submission_id=new.submission_id, correlation_id=new.correlation_id, optional=new.optional
    )
    if form is Form.BINARY:
        return [
            submission_output(
                replace(one, image=frame.image, optional=new.optional | _place(number, len(new.frames), frame.context)),
                topic,
                form,
            )
            for number, frame in enumerate(new.frames)
        ]
    return [submission_output(replace(one, frames=tuple(map(_document, new.frames))), topic, form)]


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
