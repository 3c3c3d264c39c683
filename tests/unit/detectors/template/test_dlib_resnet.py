"""The converted network is dlib's, its bytes are always the same, and other bytes than dlib's are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from detectors import alignment
from detectors.template import dlib_resnet
from detectors.template.dlib_resnet import MalformedWeights

#: Largest difference of any of the 128 numbers, and of the whole template.
PER_NUMBER = 1e-5


@pytest.fixture(scope="session")
def dat(weights: Path) -> bytes:
    return weights.read_bytes()


def test_conversion_is_the_pinned_file(dat):
    first, again = dlib_resnet.convert(dat), dlib_resnet.convert(dat)
    assert first == again
    assert hashlib.sha256(first).hexdigest() == dlib_resnet.ONNX_SHA256


def test_templates_match_dlib_on_chips(model, dlib, weights, chip_of):
    pixels = chip_of(150)
    theirs = np.array(dlib.face_recognition_model_v1(str(weights)).compute_face_descriptor(pixels))
    assert np.abs(model.embed(pixels) - theirs).max() < PER_NUMBER


def test_templates_match_dlib_on_photographs(model, dlib, weights, framed_faces):
    network = dlib.face_recognition_model_v1(str(weights))
    assert len(framed_faces) >= 10
    for name, framed in framed_faces.items():
        place = alignment.placement(framed.seen.face.landmarks, model.spec.chip)
        pixels = alignment.cut(framed.seen.frame.bgr, place, 150)
        theirs = np.array(network.compute_face_descriptor(pixels))
        assert np.linalg.norm(model.embed(pixels) - theirs) < PER_NUMBER, name


def test_other_weights_are_refused(dat):
    changed = bytearray(dat)
    changed[1_000_000] ^= 1
    with pytest.raises(MalformedWeights, match="SHA-256"):
        dlib_resnet.convert(bytes(changed))


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("empty", lambda dat: b""),
        ("cut off in the middle", lambda dat: dat[: len(dat) // 2]),
        ("cut off before the last tensor", lambda dat: dat[:22_334_000]),
        ("a layer of another type", lambda dat: dat.replace(b"\x07affine_", b"\x07bffine_", 1)),
        ("a layer moved far behind", lambda dat: dat[:300] + bytes(1000) + dat[300:]),
        ("another tensor version", lambda dat: dat.replace(b"\x05con_4\x01\x02", b"\x05con_4\x01\x03", 1)),
        ("another size", lambda dat: dat.replace(b"\x02\x80\x12\x01\x01", b"\x02\x81\x12\x01\x01", 1)),
        ("a number of impossible length", lambda dat: dat.replace(b"\x05con_4\x01\x02", b"\x05con_4\x0f\x02", 1)),
        ("not a number", lambda dat: dat[:400] + b"\x00\x00\xc0\x7f" * 8 + dat[432:]),
    ],
)
def test_malformed_weights_are_refused(dat, what, spoil):
    with pytest.raises(MalformedWeights):
        dlib_resnet.network(spoil(dat))
