"""Work of a decode: what an attacker can make dear is refused by its headers, and what cameras write passes."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from detectors.containers import PARSERS
from detectors.containers.work import MOST
from detectors.contract import ImageRefused
from detectors.image_format import sniff
from detectors.image_gate import inspect
from stream.demo.bad_inputs import png_of, slow_jpeg

LIMITS = ImageLimits()
MB, MP = 1_000_000, 1_000_000
#: Phones of 50 megapixels.
PHONE = (8192, 6144)


def jpeg(width: int, height: int, size: int, **options: object) -> bytes:
    """A JPEG whose header has another size than its few blocks: only headers are looked at here."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), (128, 110, 100)).save(buffer, "JPEG", **options)
    file = bytearray(buffer.getvalue())
    frame = file.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    file[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    return bytes(file[:2] + comment * (size // len(comment)) + file[2:])


def png(width: int, height: int, depth: int, colour: int, interlaced: int = 0) -> bytes:
    return png_of(width, height, bytes(200_000), depth=depth, colour=colour, interlaced=interlaced)


def webp(kind: bytes, width: int, height: int, size: int, alpha: bytes = b"") -> bytes:
    sizes = {
        b"VP8 ": b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
    }
    chunks = {b"ALPH": alpha, kind: sizes[kind] + b"\x55" * size}
    body = b"".join(each + struct.pack("<I", len(data)) + data for each, data in chunks.items() if data)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bmp(width: int, height: int, depth: int) -> bytes:
    rows = bytes((width * depth + 31) // 32 * 4 * height + 8)
    header = struct.pack("<IIIIiiHHIIiiII", 62 + len(rows), 0, 62, 40, width, height, 1, depth, 0, 0, 0, 0, 0, 0)
    return b"BM" + header + rows


DEAR = {
    "JPEG, 100 scans": slow_jpeg(side=3000, scans=88),
    "JPEG, progressive, every pixel's colour, 50 MP": jpeg(*PHONE, 2 * MB, progressive=True, subsampling=0),
    "JPEG, progressive, full of detail, 50 MP": jpeg(*PHONE, 8 * MB, progressive=True),
    "PNG, 50 MP": png(*PHONE, 8, 2),
    "PNG, RGBA of 16 bits, 50 MP": png(*PHONE, 16, 6),
    "PNG, RGBA of 16 bits, 12 MP": png(4032, 3024, 16, 6),
    "PNG, RGB of 16 bits, interlaced, 12 MP": png(4032, 3024, 16, 2, 1),
    "WebP, 50 MP": webp(b"VP8 ", *PHONE, MB),
    "WebP, 12 MP and 6 MB": webp(b"VP8 ", 4032, 3024, 6 * MB),
    "WebP without loss, 20 MP": webp(b"VP8L", 5000, 4000, MB),
    "WebP with a plane of opacity, 12 MP": webp(b"VP8 ", 4032, 3024, 2 * MB, alpha=bytes(100)),
}
USUAL = {
    "JPEG of a phone, 50 MP": jpeg(*PHONE, 10 * MB),
    "JPEG of a phone, 50 MP, every pixel's colour": jpeg(*PHONE, 10 * MB, subsampling=0),
    "JPEG, progressive, 50 MP": jpeg(*PHONE, 7 * MB, progressive=True),
    "JPEG, progressive, 12 MP": jpeg(4032, 3024, 10 * MB, progressive=True),
    "JPEG, progressive, every pixel's colour, 12 MP": jpeg(4032, 3024, 8 * MB, progressive=True, subsampling=0),
    "PNG, 12 MP": png(4032, 3024, 8, 2),
    "PNG of a canvas, 12 MP": png(4096, 3072, 8, 6),
    "PNG of a phone's screen, 16 bits": png(1320, 2868, 16, 6),
    "WebP of a canvas, 12 MP": webp(b"VP8 ", 4032, 3024, 4 * MB),
    "WebP without loss, 12 MP": webp(b"VP8L", 4032, 3024, 7 * MB),
    "BMP as large as can be": bmp(1850, 1850, 24),
    "BMP of one bit": bmp(7000, 7000, 1),
}


@pytest.mark.parametrize("name", DEAR)
def test_dear_picture_refused(name: str) -> None:
    with pytest.raises(ImageRefused) as caught:
        inspect(DEAR[name], LIMITS)
    assert caught.value.code is ErrorCode.IMAGE_TOO_LARGE
    assert "too much work to decode: save it as a JPEG that is not progressive" in caught.value.message


@pytest.mark.parametrize("name", USUAL)
def test_usual_picture_passes(name: str) -> None:
    inspect(USUAL[name], LIMITS)


def test_advised_size_passes() -> None:
    """The size in the words is the one at which such a file passes; none where its bytes alone are too much."""
    assert refusal_of(png(4032, 3024, 16, 2)).endswith(", or with at most 8.8 megapixels")
    inspect(png(4032, 7 * MP // 4032, 16, 2), LIMITS)
    assert refusal_of(webp(b"VP8 ", 2000, 2000, 8 * MB)).endswith("not progressive")


def refusal_of(image: bytes) -> str:
    with pytest.raises(ImageRefused) as caught:
        inspect(image, LIMITS)
    return caught.value.message


def work(image: bytes) -> float:
    kind = sniff(image)
    assert kind is not None
    found = PARSERS[kind](memoryview(image)).work
    return found.by_size + found.coded


#: Work of (a picture, another with one thing more), and by how much it grows.
GROWS = {
    "passes of scans": (slow_jpeg(side=64, scans=20), slow_jpeg(side=64, scans=60), 40 * (64 * 64 * 0.75 + 11 * 40)),
    "depth": (png(1000, 1000, 8, 2), png(1000, 1000, 16, 2), 3 * MP * 10),
    "channels": (png(1000, 1000, 8, 2), png(1000, 1000, 8, 6), MP * 10),
    "colour of every pixel": (jpeg(1000, 1000, 0), jpeg(1000, 1000, 0, subsampling=0), 1.5 * MP * 0.6),
    "opacity": (webp(b"VP8 ", 1000, 1000, MB), webp(b"VP8 ", 1000, 1000, MB, alpha=bytes(100)), 35 * MP + 1000),
}


@pytest.mark.parametrize("name", GROWS)
def test_work_counts(name: str) -> None:
    less, more, difference = GROWS[name]
    assert work(more) - work(less) == pytest.approx(difference, rel=0.01)
    assert work(more) < MOST
