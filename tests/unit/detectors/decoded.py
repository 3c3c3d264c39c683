"""Answers of the decode to picture files."""

from __future__ import annotations

from config.limits.capture import ImageLimits
from detectors.contract import ImageRefused
from detectors.frame import decode
from detectors.image_gate import inspect


def answer(image: bytes) -> str:
    """`whole`, or the reason of the refusal."""
    try:
        decode(image, inspect(image, ImageLimits()))
    except ImageRefused as refused:
        return refused.reason
    return "whole"
