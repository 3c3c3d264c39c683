"""Capture claims: what a client states about one capture, the payload of its signature. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from config.catalogues.challenges import MOST_FRAMES
from config.strict_json import StrictJson, broken
from detectors.contract_fields import Sha256

#: Characters of a camera's label; a session's id and a nonce have fewer than so many.
MOST_LABEL, MOST_NAME = 128, 256


class CaptureChannel(StrEnum):
    """Channel of a capture: the kind of program that has the camera."""

    IOS = "ios"
    ANDROID = "android"
    WEB = "web"
    DESKTOP = "desktop"
    KIOSK = "kiosk"


def _visible(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise broken("a label has visible characters only")
    return text


#: Label of a camera, plain text: no control or format characters, and not blank.
CameraLabel = Annotated[str, StringConstraints(max_length=MOST_LABEL), AfterValidator(_visible)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureClaims(StrictJson):
    """Claims about one capture. `digests`: SHA-256 of each frame's image file, in the order of the frames; `nonce`: the
    id of the session's token."""

    digests: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=MOST_FRAMES)]
    session: _Name
    nonce: _Name
    channel: CaptureChannel
    camera: CameraLabel
