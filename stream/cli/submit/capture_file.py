"""Capture file: the frames of one active check on disk, for `liveness submit --frames`.

    {"frames": [{"file": "1.jpg", "challenge": "neutral", "at_ms": 0}, {"file": "2.jpg", "challenge": "smile", ...}]}

Files are named as seen from the capture file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.catalogues.challenges import FEWEST_FRAMES, MOST_COLOURS, MOST_FRAMES, NEUTRAL, FrameChallenge
from config.validation import mistakes
from stream.events.message.session_terms import FrameContext
from stream.events.wire.submissions import NewFrame


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _FileFrame(_Strict):
    file: str
    challenge: FrameChallenge = NEUTRAL
    at_ms: Annotated[int, Field(ge=0)]
    colour: Annotated[int, Field(ge=0, lt=MOST_COLOURS)] | None = None


class _CaptureFile(_Strict):
    frames: Annotated[list[_FileFrame], Field(min_length=FEWEST_FRAMES, max_length=MOST_FRAMES)]


def frames_of(path: Path) -> tuple[NewFrame, ...]:
    """Frames of a capture file. Raises ValueError with every mistake named, also for a picture that isn't there."""
    try:
        listed = _CaptureFile.model_validate_json(path.read_bytes()).frames
        return tuple(
            NewFrame(
                image=(path.parent / each.file).read_bytes(),
                context=FrameContext(challenge=each.challenge, at_ms=each.at_ms, colour=each.colour),
            )
            for each in listed
        )
    except ValidationError as error:
        raise ValueError(mistakes(error, "capture file")) from None
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from None
