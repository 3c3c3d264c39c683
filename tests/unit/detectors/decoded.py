"""Answers of the decode to picture files."""

from __future__ import annotations

from config.limits.capture import ImageLimits
from detectors.contract import ImageRefused
from detectors.frame import WorkingFrame, decode
from detectors.image_gate import inspect


def framed(image: bytes) -> WorkingFrame:
    """The frame of a picture file under the usual limits; raises ImageRefused."""
    return decode(image, inspect(image, ImageLimits()))


def answer(image: bytes) -> str:
    """`whole`, or the reason of the refusal."""
    try:
        framed(image)
    except ImageRefused as refused:
        return refused.reason
    return "whole"
