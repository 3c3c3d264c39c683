"""Session image: which frame of a session's submission is the best picture of the person. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from config.catalogues.challenges import MOST_FRAMES
from config.strict_json import BrokenRule, StrictJson
from detectors.contract_fields import OptionalCode, Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionImage(StrictJson):
    """Session image by the index of the frame and the SHA-256 of the frame's file; both None where no frame shows a
    face. `reason`: why the picture was not published, in snake_case."""

    frame: Annotated[int, Field(ge=0, lt=MOST_FRAMES)] | None
    sha256: Sha256 | None
    published: bool
    reason: OptionalCode

    def __post_init__(self) -> None:
        if self.published is bool(self.reason) or (self.frame is None) is not (self.sha256 is None):
            raise BrokenRule("a session image that is not published has a reason, and a frame has a digest")
