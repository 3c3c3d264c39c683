"""Pieces of picture files: what lacks picture data is refused as incomplete, what lacks only a marker is analysed."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from detectors.contract import ImageRefused
from stream.demo.attacks import Photo
from tests.unit.detectors.decoded import framed

END = b"\xff\xd9"
OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 90},
    "JPEG with restarts": {"quality": 90, "restart_marker_rows": 2},
    "JPEG progressive": {"quality": 90, "progressive": True},
    "PNG": {},
    "WEBP": {"quality": 85},
    "WEBP lossless": {"lossless": True},
    "BMP": {},
}
JPEGS = [kind for kind in OPTIONS if kind.startswith("JPEG")]


@pytest.fixture(scope="module")
def saved(portrait: Photo) -> Callable[[str], bytes]:
    def save(kind: str) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(portrait[:, :, ::-1])).save(
            file, kind.split(maxsplit=1)[0], **OPTIONS[kind]
        )
        return file.getvalue()

    return save


def refused_as(image: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        framed(image)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    return refused.value.reason


@pytest.mark.parametrize("share", [0.2, 0.33, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("closed", [b"", END])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_piece_of_a_jpeg_is_incomplete(saved, kind, share, closed):
    whole = saved(kind)
    assert refused_as(whole[: int(share * len(whole))] + closed) == "image_incomplete"


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_picture_data_is_incomplete(saved, kind):
    whole = saved(kind)
    assert refused_as(whole[: whole.index(b"\xff\xda") + 14] + END) == "image_incomplete"


@pytest.mark.parametrize(("at", "number"), [(0.3, 300), (0.5, 4096)])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_hole_in_scan_data_is_incomplete(saved, kind, at, number):
    whole = saved(kind)
    start = int(at * len(whole))
    assert refused_as(whole[:start] + bytes(number) + whole[start + number :]) == "image_incomplete"


SEQUENTIAL = [kind for kind in JPEGS if kind != "JPEG progressive"]


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_a_hole_anywhere_is_found(saved, kind):
    """Also where the decoder falls into step again behind the hole, and has as many blocks as it wants."""
    whole = saved(kind)
    for start in range(whole.index(b"\xff\xda") + 14, len(whole) - 514, len(whole) // 60):
        assert refused_as(whole[:start] + bytes(512) + whole[start + 512 :]) == "image_incomplete", start


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_scan_data_left_over_are_no_padding(saved, kind):
    whole = saved(kind)
    assert refused_as(whole[:-2] + whole[-202:-2].replace(b"\xff", b"\xfe") + END) == "image_incomplete"


def test_a_progressive_jpeg_lacks_scans(saved):
    whole = saved("JPEG progressive")
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    for missing in scans[1:]:
        table = whole.rindex(b"\xff\xc4", 0, missing)
        assert refused_as(whole[:table] + END) == "image_incomplete"


@pytest.mark.parametrize("ending", [b"", b"\xff", bytes(40), bytes(200) + END], ids=len)
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_only_its_end_is_whole(saved, kind, ending):
    whole = saved(kind)
    assert np.array_equal(framed(whole[:-2] + ending).bgr, framed(whole).bgr)


@pytest.mark.parametrize("lost", [1, 6, 12])
def test_a_png_that_lacks_only_its_end_is_whole(saved, lost):
    assert np.array_equal(framed(saved("PNG")[:-lost]).bgr, framed(saved("PNG")).bgr)


def riff(webp: bytes) -> bytes:
    """The WebP with sizes that fit what is left of it (its first chunk is its picture)."""
    return webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:16] + struct.pack("<I", len(webp) - 20) + webp[20:]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "WEBP lossless", "BMP"])
def test_a_piece_of_another_format_is_incomplete(saved, kind, share):
    whole = saved(kind)
    piece = whole[: int(share * len(whole)) // 2 * 2]
    assert refused_as(piece) == "image_incomplete"
    if kind.startswith("WEBP"):
        assert refused_as(riff(piece)) in ("image_incomplete", "image_damaged")
        assert refused_as(piece.ljust(len(whole), b"\x00")) == "image_incomplete"


JUNK = {"a zero": b"\x00", "zeros": bytes(300), "text": b"left behind by an editor", "fill bytes": b"\xff\xff\xff"}


@pytest.mark.parametrize("junk", JUNK)
def test_bytes_behind_metadata_are_skipped(saved, junk):
    """Decoders skip what belongs to no segment, but want a segment first."""
    plain = saved("JPEG")
    comment = b"\xff\xe1" + struct.pack(">H", 8) + b"Exif\x00\x00"
    start = 2 + 2 + int.from_bytes(plain[4:6], "big")
    for file in (
        plain[:2] + comment + JUNK[junk] + plain[start:],
        plain[:start] + comment + JUNK[junk] + plain[start:],
    ):
        assert np.array_equal(framed(file).bgr, framed(plain).bgr)


@pytest.mark.parametrize("code", [0xC3, 0xC9, 0xCA])
def test_codings_that_viewers_do_not_show_are_unsupported(saved, code):
    image = saved("JPEG").replace(b"\xff\xc0", bytes((0xFF, code)), 1)
    with pytest.raises(ImageRefused) as refused:
        framed(image)
    assert refused.value.code is ErrorCode.UNSUPPORTED_FORMAT
