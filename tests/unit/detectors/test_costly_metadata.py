"""Metadata that are short to send and long to read: read once, or refused."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from config.limits.capture import ImageLimits
from detectors.containers import colour_profile
from detectors.contract import ImageRefused
from detectors.image_gate import inspect
from stream.demo.bad_inputs import png_chunk

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png(profiles: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (128, 128)).save(buffer, "PNG")
    chunk = png_chunk(b"iCCP", b"sRGB\x00\x00" + zlib.compress(PROFILE))
    file = buffer.getvalue()
    return file[:33] + chunk * profiles + file[33:]


def webp(profiles: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (128, 128)).save(buffer, "WEBP")
    profile = PROFILE + b"\x00" * (len(PROFILE) % 2)
    body = buffer.getvalue()[12:] + (b"ICCP" + struct.pack("<I", len(profile)) + profile) * profiles
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize("file_with", [png, webp])
def test_one_profile_is_read(file_with, monkeypatch) -> None:
    """Ten thousand profiles of a megabyte each fit into ten megabytes."""
    read = []
    for module in ("png", "webp"):
        monkeypatch.setattr(f"detectors.containers.{module}.require_usual_colours", read.append)
    inspect(file_with(1), ImageLimits())
    with pytest.raises(ImageRefused, match="two colour profiles"):
        inspect(file_with(200), ImageLimits())
    assert len(read) == 2
    colour_profile.require_usual_colours(read[0])
