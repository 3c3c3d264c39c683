"""Codes of faces: what they keep of a template, and bytes that must not change."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abuse.faces.face_codes import FULL_SCALE, code_of, codes_from, face_hash, layout, owner_hash
from abuse.faces.protected_template import ProtectedTemplate


def template(*numbers: float) -> ProtectedTemplate:
    return ProtectedTemplate("m", "k1", np.array(numbers, "<f4").tobytes())


def test_bytes_of_this_version() -> None:
    """Workers of the next version read them for nine days."""
    code = code_of("cid-1", "sub-1", template(0.5, -1.0, 0.25, 0.0))
    assert code.hex() == "2693d71aae128a67880f408bfde26630f91d02dffd2f458d0402013c40812000"


NUMBERS = st.floats(-60_000, 60_000, width=16).filter(lambda each: abs(each) > 1e-3)


@given(arrays(np.float32, st.integers(1, 40), elements=NUMBERS))
def test_numbers_are_kept_to_half_a_step(vector) -> None:
    (code,) = codes_from(code_of("a", "b", template(*vector)), len(vector))
    kept = code["numbers"].astype(float) * float(code["scale"])
    assert np.abs(kept - template(*vector).halves).max() <= float(code["scale"]) * 0.5001
    assert np.abs(code["numbers"]).max() == FULL_SCALE


def test_hashes_tell_faces_and_owners_apart() -> None:
    names = [("a", "b"), ("a", "c"), ("d", "b"), ("a b", "")]
    faces = codes_from(b"".join(code_of(*name, template(1.0, 2.0)) for name in names), 2)
    assert [int(face) for face in faces["face"]] == [face_hash(*name) for name in names]
    assert len({face_hash(*name) for name in names}) == len(names)
    assert [(owner == owner_hash("a")).all() for owner in faces["owner"]] == [True, True, False, False]


FOREIGN = {
    "length": b"x" * 31,
    "not a number": bytes(24) + b"\xff" * 4 + bytes(4),
    "beyond half precision": bytes(24) + struct.pack("<f", 520.0) + bytes(4),
    "negative": bytes(24) + struct.pack("<f", -1.0) + bytes(4),
}


@pytest.mark.parametrize("packed", FOREIGN.values(), ids=FOREIGN)
def test_foreign_bytes_are_refused(packed) -> None:
    with pytest.raises(ValueError, match=r"scale|multiple"):
        codes_from(packed, 4)


def test_no_codes() -> None:
    assert len(codes_from(b"", 4)) == 0
    assert layout(128).itemsize == 156
