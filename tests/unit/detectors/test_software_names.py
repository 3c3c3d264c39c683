"""Names of software in every text that a picture file carries them in."""

from __future__ import annotations

import struct
import zlib

import pytest

from config.limits.capture import ImageLimits
from detectors.exif import read_exif
from detectors.image_gate import inspect
from detectors.signals.exif_metadata import spoof_keyword
from stream.demo.bad_inputs import png_chunk, png_of


def comment_block(comment: bytes) -> bytes:
    """A little-endian EXIF block whose only entry is this user comment."""
    exif_directory = struct.pack("<HHHII", 1, 0x9286, 7, len(comment), 44) + bytes(4)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 26) + bytes(4) + exif_directory + comment


COMMENTS = {
    "ASCII": b"ASCII\x00\x00\x00Screenshot",
    "no code": b"Screenshot\x00",
    "UTF-16 little-endian": b"UNICODE\x00" + "Screenshot".encode("utf-16-le"),
    "UTF-16 big-endian": b"UNICODE\x00" + "Screenshot".encode("utf-16-be"),
    "UTF-16 with its order": b"UNICODE\x00" + "Screenshot".encode("utf-16"),
    "UTF-16 without a code, ended": "Screenshot\x00".encode("utf-16-le"),
}


@pytest.mark.parametrize("name", COMMENTS)
def test_comments_are_read_in_their_code(name):
    assert spoof_keyword(read_exif(comment_block(COMMENTS[name]))) == "screenshot"


@pytest.mark.parametrize("comment", [b"UNICODE\x00", b"UNICODE\x00" + bytes(40), bytes(60), b"A\x00", b"\xff\xfe"])
def test_empty_comments_name_nothing(comment):
    assert spoof_keyword(read_exif(comment_block(comment))) is None


def software(text: bytes, kind: bytes) -> tuple[str, ...]:
    return inspect(png_of(96, 96, b"\x00", png_chunk(kind, text)), ImageLimits()).exif.software


NAME = "Bildschirmfoto gnome-screenshot ü"
PACKED = zlib.compress(NAME.encode())
TEXTS = {
    b"tEXt": [b"Software\x00" + NAME.encode("latin-1")],
    b"zTXt": [b"Software\x00\x00" + zlib.compress(NAME.encode("latin-1"))],
    b"iTXt": [
        b"Software\x00\x00\x00\x00\x00" + NAME.encode(),
        b"Software\x00\x00\x00de\x00Programm\x00" + NAME.encode(),
        b"Software\x00\x01\x00en\x00\x00" + PACKED,
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_every_text_chunk_of_a_png_names_software(kind, text):
    assert software(text, kind) == (NAME,)


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(
    "text", [b"", b"Software\x00", b"Software\x00\x01\x00", b"Software\x00\x00broken", b"Author\x00GIMP"]
)
def test_texts_that_name_nothing(kind, text):
    assert not any("GIMP" in name for name in software(text, kind))


def test_inflated_names_are_bounded():
    assert len(software(b"Software\x00\x00" + zlib.compress(b"A" * 10_000_000), b"zTXt")[0]) == 128
