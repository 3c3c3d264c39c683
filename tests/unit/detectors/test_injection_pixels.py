"""Indications that need a picture's compression or pixels: quantization tables, and EXIF's thumbnail."""

from __future__ import annotations

import io
import struct
import time

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from config.limits.capture import ImageLimits
from detectors.contract import Indication
from detectors.exif import read_exif
from detectors.frame import decode
from detectors.image_gate import inspect
from detectors.injection import checks
from detectors.injection import thumbnail as thumbnails
from detectors.injection.thumbnail import thumbnail
from stream.demo import attacks

APPLE = {0x010F: "Apple", 0x0110: "iPhone 15", 0x0131: "17.1.2"}
APERTURE = {0x829D: 1.8}
#: Tables as an Apple device writes: none of libjpeg's scale.
OWN_TABLES = {0: [1 + number // 8 for number in range(64)], 1: [1 + number // 6 for number in range(64)]}


def scene(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Smooth blobs of every size: two seeds share nothing."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 255, (side * 3, side * 4, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        for side in (1, 2, 4, 8)
    ]
    return Image.fromarray(np.clip(sum(layers) / 4 * 1.8 - 100, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, **options: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", **options)
    return written.getvalue()


def small(picture: Image.Image, size: tuple[int, int] = (160, 120), quality: int = 60) -> bytes:
    shrunk = picture.copy()
    shrunk.thumbnail(size)
    return jpeg(shrunk, quality=quality)


def exif_with(encoded: bytes, order: str = "<", **changes: int) -> bytes:
    """TIFF block whose second directory points at a thumbnail."""
    count, data = 2, 8 + 2 + 4 + 2 + 2 * 12 + 4
    places = {"at": data, "size": len(encoded), "link": 14, **changes}
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "IHI", 8, 0, places["link"])
    entries = struct.pack(order + "HHIIHHII", 0x201, 4, 1, places["at"], 0x202, 4, 1, places["size"])
    return head + struct.pack(order + "H", count) + entries + bytes(4) + encoded


def with_exif(picture: Image.Image, block: bytes) -> bytes:
    plain, payload = jpeg(picture, quality=90), b"Exif\x00\x00" + block
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + plain[2:]


def found_in(image: bytes) -> dict[str, Indication]:
    header = inspect(image, ImageLimits())
    found = checks.with_decoded(checks.indications_of(image, header), header, decode(image, header))
    assert len({each.code for each in found}) == len(found)
    return {each.code: each for each in found}


PICTURE = scene(1)
WIDE, TALL = scene(2, (640, 360)), scene(3, (300, 400))


def barred(picture: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (640, 480))
    canvas.paste(picture, (0, (480 - picture.height) // 2))
    return canvas


ALIKE = {
    "as taken": (PICTURE, small(PICTURE)),
    "of a phone": (PICTURE, small(PICTURE, (512, 384))),
    "coarse": (PICTURE, small(PICTURE, (96, 72), quality=20)),
    "upright": (TALL, small(TALL)),
    "turned": (PICTURE, small(PICTURE.rotate(90, expand=True))),
    "upside down": (PICTURE, small(PICTURE.rotate(180))),
    "mirrored": (PICTURE, small(PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT))),
    "with bars": (WIDE, small(barred(WIDE))),
    "of the whole sensor": (WIDE.crop((0, 45, 640, 315)), small(WIDE)),
    "brighter": (PICTURE, small(PICTURE.point(lambda level: int(255 * (level / 255) ** 0.5)))),
    "more contrast": (PICTURE, small(ImageEnhance.Contrast(PICTURE).enhance(1.5))),
    "black and white": (PICTURE, small(PICTURE.convert("L").convert("RGB"))),
    "other colours": (PICTURE, small(Image.merge("RGB", PICTURE.split()[::-1]))),
    "lens corrected": (PICTURE, small(PICTURE.crop((8, 6, 392, 294)))),
    "flat": (PICTURE, small(Image.new("RGB", (400, 300), (9, 9, 9)))),
    "none": (PICTURE, b""),
}
OTHER = {
    "another picture": (PICTURE, small(scene(4))),
    "another, turned": (PICTURE, small(scene(4).rotate(90, expand=True))),
    "another, with bars": (WIDE, small(barred(scene(5, (640, 360))))),
    "before the crop": (PICTURE.crop((100, 75, 300, 225)), small(PICTURE)),
    "a corner's": (PICTURE, small(PICTURE.crop((0, 0, 240, 180)))),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ALIKE | OTHER)
def test_thumbnail(name: str, order: str) -> None:
    picture, encoded = (ALIKE | OTHER)[name]
    found = found_in(with_exif(picture, exif_with(encoded, order)))
    assert ("thumbnail_differs" in found) == (name in OTHER)
    assert "injection_unchecked" not in found


def test_a_portraits_own_thumbnail(selfie: bytes) -> None:
    """The demo's photograph, as it is stored and shown."""
    shown = Image.open(io.BytesIO(selfie)).convert("RGB")
    assert "thumbnail_differs" not in found_in(with_exif(shown, exif_with(small(shown))))
    assert "thumbnail_differs" in found_in(with_exif(shown, exif_with(small(scene(6)))))


BOMB = jpeg(Image.new("RGB", (4000, 3000)), quality=1)
HOSTILE = {
    "a bomb": exif_with(BOMB[:60_000]),
    "too many pixels": exif_with(small(scene(1, (1100, 825)), (1100, 825), quality=5)),
    "too small": exif_with(jpeg(Image.new("RGB", (8, 8)))),
    "cut": exif_with(small(scene(4))[:900]),
    "no JPEG": exif_with(b"<html>" * 40),
    "a PNG": exif_with(attacks.png(np.zeros((60, 80, 3), np.uint8))),
    "many scans": exif_with(small(scene(4)).replace(b"\xff\xd9", b"\xff\xda\x00\x08\x01\x01\x00\x00?\x00" * 200)),
    "beyond the block": exif_with(small(scene(4)), size=1 << 30),
    "before the block": exif_with(small(scene(4)), at=0),
    "no directory there": exif_with(small(scene(4)), link=0xFFFFFFF0),
    "a directory of itself": exif_with(small(scene(4)), link=8),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_thumbnails_say_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thumbnail above the bounds is not decoded, and the rest of the metadata is read all the same."""
    sizes = []
    whole = thumbnails.decode_whole
    monkeypatch.setattr(
        thumbnails, "decode_whole", lambda image, header, flags: sizes.append(header) or whole(image, header, flags)
    )
    began = time.thread_time()
    found = found_in(with_exif(PICTURE, HOSTILE[name]))
    assert time.thread_time() - began < 0.5
    assert not {"thumbnail_differs", "injection_unchecked"} & found.keys()
    assert all(header.container.width * header.container.height <= thumbnails.LIMITS.max_pixels for header in sizes)


@pytest.mark.parametrize("entries", [1, 60_000])
def test_a_bad_thumbnail_hides_no_metadata(entries: int) -> None:
    """The directory of the thumbnail, or its place, is outside of the block; the camera in the first one is read."""
    block = b"II*\x00" + struct.pack("<IHHHI4sI", 8, entries, 0x010F, 2, 4, b"Cam\x00", 0xFFFFFFF0)
    assert read_exif(block).make == "Cam"
    assert read_exif(block).thumbnail == b""


def test_a_broken_check_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(checks, "thumbnail", broken)
    assert "injection_unchecked" in found_in(jpeg(PICTURE))


def test_work_is_bounded() -> None:
    """Two shapes, with bars: every turn, shift and scale is tried."""
    encoded, picture = small(barred(scene(7, (640, 360))), (512, 384)), np.asarray(scene(8, (960, 720)))
    began = time.thread_time()
    assert list(thumbnail(encoded, picture))
    assert time.thread_time() - began < 0.2


def taken(exif: dict[int, object] = APPLE, optical: bool = True, kind: str = "JPEG", **options: object) -> bytes:
    block = Image.Exif()
    for tag, value in exif.items():
        block[tag] = value
    if optical:
        block.get_ifd(0x8769).update(APERTURE)
    written = io.BytesIO()
    PICTURE.save(written, kind, exif=block, **options)
    return written.getvalue()


COMPRESSED = {
    "libjpeg": (taken(quality=90), True),
    "lowest": (taken(quality=1), True),
    "progressive": (taken(quality=75, progressive=True), True),
    "no software": (taken({0x010F: "Apple"}, quality=85), True),
    "own tables": (taken(qtables=OWN_TABLES), False),
    "one table of two": (taken(qtables={0: OWN_TABLES[0], 1: [17] * 64}), False),
    "next to all ones": (taken(quality=100), False),
    "Android": (taken({0x010F: "Google", 0x0110: "Pixel 8"}, quality=90), False),
    "edited, and says so": (taken(APPLE | {0x0131: "Adobe Photoshop 25.0"}, quality=90), False),
    "claims no capture": (taken(optical=False, quality=90), False),
    "no camera": (taken({}, quality=90), False),
    "a PNG": (taken(kind="PNG"), False),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_tables_against_the_make(name: str) -> None:
    image, told = COMPRESSED[name]
    assert ("other_compression" in found_in(image)) == told


def test_sixteen_bit_tables_say_nothing() -> None:
    image = taken(quality=90)
    place = image.index(b"\xff\xdb")
    table = b"".join(struct.pack(">H", value) for value in image[place + 5 : place + 69])
    wide = b"\xff\xdb" + struct.pack(">H", 2 + 1 + 128) + b"\x10" + table
    assert "other_compression" in found_in(image)
    image = image[:place] + wide + image[place:]
    found = checks.indications_of(image, inspect(image, ImageLimits()))
    assert "other_compression" not in {each.code for each in found}
