"""The decode path: orientation, depth, colour models and the working size."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from detectors.contract import ImageRefused
from detectors.frame import WORKING_SIDE
from stream.demo.attacks import Photo
from tests.unit.detectors.conftest import saved
from tests.unit.detectors.decoded import framed


def as_pillow(photo: Photo) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(photo[:, :, ::-1]))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


#: What a camera stores for each orientation value, from the upright picture.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientations_give_the_upright_picture(portrait, kind, orientation):
    upright = as_pillow(portrait[:280])
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    frame = framed(saved(upright if turn is None else upright.transpose(turn), kind, exif=exif, quality=95))
    assert (frame.width, frame.height) == upright.size
    assert difference(frame.bgr, portrait[:280]) < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_colours_are_blue_green_red(kind):
    red = framed(saved(Image.new("RGB", (80, 80), (200, 30, 10)), kind))
    assert np.abs(red.bgr[40, 40].astype(int) - (10, 30, 200)).max() <= 4
    assert red.bgr.dtype == red.grey.dtype == np.uint8


SIZES = [(3000, 4000), (1921, 1080), (1920, 1080), (961, 100), (200, 100)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_long_side_is_bounded(width, height, kind):
    frame = framed(saved(Image.radial_gradient("L").resize((width, height)).convert("RGB"), kind))
    assert max(frame.width, frame.height) == min(WORKING_SIDE, max(width, height))
    assert frame.width / frame.height == pytest.approx(width / height, rel=0.02)


def test_reduced_decodes_show_the_same(portrait):
    large = cv2.resize(portrait, (3072, 3072), interpolation=cv2.INTER_CUBIC)
    frame = framed(saved(as_pillow(np.asarray(large, np.uint8)), "JPEG", quality=95))
    small = np.asarray(cv2.resize(large, (960, 960), interpolation=cv2.INTER_AREA), np.uint8)
    assert difference(frame.bgr, small) < 3


def test_16_bits_keep_upper_byte(portrait):
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    coloured, in_grey = (framed(cv2.imencode(".png", p.astype(np.uint16) * 257)[1].tobytes()) for p in (portrait, grey))
    assert difference(coloured.bgr, portrait) < 1
    assert difference(in_grey.grey, grey) < 1.5


@pytest.mark.parametrize(
    "model", ["CMYK JPEG", "L JPEG", "L PNG", "RGBA PNG", "LA PNG", "P PNG", "RGBA WEBP", "1 PNG", "L BMP"]
)
def test_colour_models_become_three_channels(portrait, model):
    mode, kind = model.split()
    picture = as_pillow(portrait).convert(mode)
    if "A" in mode:
        picture.putalpha(255)
    frame, shown = framed(saved(picture, kind, quality=95)), picture.convert("RGB")
    assert frame.bgr.shape == portrait.shape
    assert difference(frame.bgr, np.asarray(shown)[:, :, ::-1]) < 8
    assert difference(frame.grey, np.asarray(shown.convert("L"))) < 4


def test_lying_sizes_are_refused():
    honest = saved(Image.effect_noise((200, 200), 40).convert("RGB"), "PNG")
    lying = honest[:16] + struct.pack(">I", 300) + honest[20:]
    with pytest.raises(ImageRefused) as refused:
        framed(lying)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
