"""Colour profiles: those that cameras, phones and editors embed pass; one that shows another picture is refused."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from config.catalogues.error_codes import ErrorCode
from detectors.containers.base import NotAsStored
from detectors.containers.colour_profile import MAX_BYTES, require_usual_colours
from detectors.contract import ImageRefused
from stream.demo.bad_inputs import png_chunk
from tests.unit.detectors.decoded import framed
from tests.unit.detectors.test_seen_as_stored import coloured

SIDE = 96
PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8))
#: Primaries as profiles hold them, seen from D50: X, Y, Z of red, green and blue.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79768, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03133, 0.00009, 0.8249))
REC2020 = ((0.67348, 0.27904, -0.00194), (0.16567, 0.67535, 0.02998), (0.1251, 0.04561, 0.79686))
SWAPPED = (SRGB[2], SRGB[1], SRGB[0])


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def table(values: np.ndarray) -> bytes:
    entries = np.clip(np.rint(values * 65535), 0, 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(entries)) + entries.tobytes()


def parametric(kind: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*numbers)


RAMP = np.linspace(0, 1, 1024)
SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
LINEAR = b"curv" + bytes(8)


def profile(primaries=SRGB, curve=SRGB_CURVE, *, space: bytes = b"RGB ", curves=None, **tags: bytes) -> bytes:
    """Profile of these primaries and one curve for all, or `curves`, and further tags."""
    held = {
        name: b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in zip(("rXYZ", "gXYZ", "bXYZ"), primaries, strict=True)
    }
    held |= dict(zip(("rTRC", "gTRC", "bTRC"), curves or [curve] * 3, strict=True)) | {"kTRC": curve} | tags
    entries, content = b"", b""
    start = 128 + 4 + 12 * len(held)
    for name, tag in held.items():
        entries += name.encode() + struct.pack(">II", start + len(content), len(tag))
        content += tag
    header = bytearray(128)
    header[12:16], header[16:20], header[20:24], header[36:40] = b"mntr", space, b"XYZ ", b"acsp"
    whole = bytes(header) + struct.pack(">I", len(held)) + entries + content
    return struct.pack(">I", len(whole)) + whole[4:]


USUAL = {
    "of a colour engine": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "sRGB": profile(),
    "sRGB, table": profile(curve=table(np.where(RAMP <= 0.04045, RAMP / 12.92, ((RAMP + 0.055) / 1.055) ** 2.4))),
    "P3": profile(P3),
    "Adobe": profile(ADOBE, gamma(2.19921875)),
    "ProPhoto": profile(PROPHOTO, gamma(1.8)),
    "Rec. 2020": profile(REC2020, parametric(3, 1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.0812)),
    "linear": profile(curve=LINEAR),
    "linear, two entries": profile(curve=table(np.array([0.0, 1.0]))),
    "gamma of 2.6": profile(curve=parametric(0, 2.6)),
    "grey": profile(space=b"GRAY", curve=gamma(2.2)),
    "no profile": b"not a profile at all" * 20,
    "empty": b"",
}
POSTER = np.where(RAMP < 0.5, 0.0, 1.0)
UNUSUAL = {
    "inverted": profile(curve=table(RAMP[::-1])),
    "inverted, parametric": profile(curve=parametric(2, 1.0, -1.0, 1.0, 0.0)),
    "one channel inverted": profile(curves=[LINEAR, table(RAMP[::-1]), LINEAR]),
    "up and down": profile(curve=table(np.abs(np.sin(RAMP * 9)))),
    "a dip": profile(curve=table(np.where((RAMP > 0.5) & (RAMP < 0.52), 0.0, RAMP))),
    "poster": profile(curve=table(POSTER)),
    "black": profile(curve=table(RAMP * 0)),
    "white": profile(curve=table(RAMP * 0 + 1)),
    "dark gamma": profile(curve=gamma(8)),
    "bright gamma": profile(curve=gamma(0.3)),
    "no curve": profile(curve=b""),
    "unknown curve": profile(curve=b"sig " + bytes(20)),
    "a curve that breaks off": profile(curve=b"curv" + bytes(4) + struct.pack(">I", 500) + bytes(9)),
    "a curve without end": profile(curve=b"curv" + bytes(4) + struct.pack(">I", 1 << 31)),
    "unknown function": profile(curve=parametric(9, 1.0)),
    "swapped primaries": profile(SWAPPED),
    "dark primaries": profile(tuple(tuple(part * 0.05 for part in each) for each in SRGB)),
    "grey primaries": profile((SRGB[1],) * 3),
    "negative primaries": profile(((-1, -1, -1), (1.6, 1.8, 1.2), (0.4, 0.2, 0.6))),
    "tables": profile(A2B0=b"mft2" + bytes(60)),
    "ink": profile(space=b"CMYK"),
    "too large": profile(junk=bytes(MAX_BYTES)),
    "tags without end": profile()[:128] + b"\xff\xff\xff\xff" + bytes(12),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_profiles_pass(name):
    require_usual_colours(USUAL[name])


@pytest.mark.parametrize("name", UNUSUAL)
def test_other_profiles_are_refused(name):
    with pytest.raises(NotAsStored, match="colour profile"):
        require_usual_colours(UNUSUAL[name])


def saved(kind: str, icc: bytes) -> bytes:
    if kind == "PNG":
        return coloured(png_chunk(b"iCCP", b"x\x00\x00" + zlib.compress(icc)))
    file = io.BytesIO()
    PICTURE.save(file, kind, icc_profile=icc)
    return file.getvalue()


def refusal(image: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        framed(image)
    assert refused.value.code in (ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_FORMAT)
    return refused.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_container(kind):
    usual = saved(kind, USUAL["P3"])
    assert framed(usual).bgr.shape == (SIDE, SIDE, 3)
    assert refusal(saved(kind, UNUSUAL["inverted"])) == "image_transparent"


def test_profile_in_pieces():
    """A JPEG splits a profile over segments of 64 KB."""
    image = saved("JPEG", profile(curve=table(RAMP[::-1]), junk=bytes(150_000)))
    assert image.count(b"ICC_PROFILE") == 3
    assert refusal(image) == "image_transparent"


def test_profile_of_a_png_is_inflated_to_a_bound():
    encoder = zlib.compressobj(1)
    first, million = (
        encoder.compress(each) + encoder.flush(zlib.Z_FULL_FLUSH) for each in (UNUSUAL["inverted"], bytes(1_000_000))
    )
    image = coloured(png_chunk(b"iCCP", b"x\x00\x00" + first + 500 * million))
    started = time.process_time()
    assert refusal(image) == "image_transparent"
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(("points", "usual"), [((1, 13, 0, 1), True), ((12, 13, 0, 1), True), ((9, 16, 0, 1), False)])
def test_code_points_of_a_png(points, usual):
    image = coloured(png_chunk(b"cICP", bytes(points)))
    if usual:
        assert framed(image).bgr.shape == (SIDE, SIDE, 3)
    else:
        assert refusal(image) == "image_transparent"


@pytest.mark.parametrize("space", [b"DEBM", b"KNIL"])
def test_profile_of_a_bmp(space):
    size = SIDE * SIDE * 3
    header = struct.pack("<IiiHHIIiiII", 124, SIDE, SIDE, 1, 24, 0, size, 0, 0, 0, 0).ljust(124, b"\x00")
    whole = b"BM" + struct.pack("<IHHI", 138 + size, 0, 0, 138) + header + bytes(size)
    assert framed(whole).bgr.shape == (SIDE, SIDE, 3)
    assert refusal(whole[:70] + space + whole[74:]) == ""
