"""Session terms: what a session asks of the submission that came with its token, as the detect stage found them.

The terms travel with the detection, so that the verdict is a pure function of the detection.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from config.catalogues.challenges import (
    FEWEST_FRAMES,
    LONGEST_COLOUR_MS,
    MOST_COLOURS,
    MOST_FRAMES,
    Challenge,
    Colour,
    FrameChallenge,
)
from config.strict_json import StrictJson
from stream.events.message.ids import ShortText

#: Attempts that a session may allow, and the threshold that a session has unless one is named.
MOST_ATTEMPTS, DEFAULT_THRESHOLD = 3, 75
#: A capture takes seconds: no frame is an hour later than the first.
LATEST_FRAME_MS = 3_600_000


class LivenessMode(StrEnum):
    """Mode of a liveness check: one frame, one with movements only where the light is too strong, or movements."""

    PASSIVE = "passive"
    PASSIVE_ACTIVE = "passive_active"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameContext(StrictJson):
    """Context of one frame: the challenge that the frame answers, its time in milliseconds since the capture began, and
    for the light challenge the index of the colour shown."""

    challenge: FrameChallenge = "neutral"
    at_ms: Annotated[int, Field(ge=0, le=LATEST_FRAME_MS)] | None = None
    colour: Annotated[int, Field(ge=0, lt=MOST_COLOURS)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePart(StrictJson):
    """Place of a record's one frame in a submission that is sent as a record a frame: `frame_index` counts from 0.

    Raises ValueError for an index that is not below the count.
    """

    frame_index: Annotated[int, Field(ge=0, lt=MOST_FRAMES)]
    frame_count: Annotated[int, Field(ge=FEWEST_FRAMES, le=MOST_FRAMES)]

    def __post_init__(self) -> None:
        if self.frame_index >= self.frame_count:
            raise ValueError("frame_index is not below frame_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms(StrictJson):
    """Terms of a session for one attempt.

    `challenges` and `colours` are in the session's own order. `active`: whether this attempt answers challenges, as
    it does in active mode, and in passive_active mode once the light was found too strong. `attempt` counts from 1.
    """

    session_id: ShortText
    mode: LivenessMode
    active: bool
    threshold: Annotated[int, Field(ge=0, le=100)]
    challenges: Annotated[tuple[Challenge, ...], Field(max_length=4)] = ()
    colours: Annotated[tuple[Colour, ...], Field(max_length=MOST_COLOURS)] = ()
    colour_ms: Annotated[int, Field(ge=0, le=LONGEST_COLOUR_MS)] = 0
    attempt: Annotated[int, Field(ge=1, le=64)]
    attempts_allowed: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)]
    capture_key: Annotated[str, StringConstraints(max_length=1024)] = ""
    nonce: Annotated[str, StringConstraints(max_length=128)] = ""
    attestation_required: bool = False
    reference_sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    image_wanted: bool = False
