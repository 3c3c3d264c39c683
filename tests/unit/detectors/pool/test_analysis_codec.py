"""The codec gives back what it was given and refuses everything the contract doesn't allow."""

from __future__ import annotations

import base64
import copy
import dataclasses
import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.error_codes import ErrorCode
from detectors.analysis_codec import MAX_BYTES, MalformedAnalysis, decode, encode, from_document, to_document
from detectors.contract import Analysis, ModelVersion, PictureHashes, Reading, ReadingStatus, Template

FULL = Analysis(
    face_detected=True,
    readings=(
        Reading(name="sharpness", label="Sharpness", status=ReadingStatus.SCORED, liveness=0.75, detail="σ² 81.5"),
        Reading(
            name="exif_metadata",
            label="EXIF",
            status=ReadingStatus.ABSTAINED,
            reason="no_exif",
            detail="no EXIF block",
        ),
    ),
    notes=("trailing_data", "bystander"),
    models=(ModelVersion(name="face mesh", version="0.10.21", sha256="ab" * 32),),
    template=Template(model="dlib_resnet", model_sha256="cd" * 32, vector=struct.pack("<3f", 0.5, -1.25, 3e-20)),
    picture=PictureHashes(pixels_sha256="ef" * 32, perceptual=0xFEDCBA9876543210),
    elapsed_ms={"gate": 0.1, "decode": 1.7},
    cpu_ms=12.5,
)
WITHOUT = Analysis(face_detected=True, template_reason="face_cut_off")
REFUSED = Analysis(error=ErrorCode.NO_FACE_DETECTED, message="no face found")


@pytest.mark.parametrize("analysis", [FULL, WITHOUT, REFUSED, Analysis()])
def test_there_and_back(analysis):
    assert decode(encode(analysis)) == analysis
    assert from_document(orjson.loads(orjson.dumps(to_document(analysis)))) == analysis


def test_a_whole_number_is_a_number():
    document = to_document(FULL)
    document["cpu_ms"] = 3
    assert from_document(document).cpu_ms == 3.0


def numbers(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def test_a_template_of_the_largest_size_is_carried():
    vector = struct.pack("<1024f", *range(1024))
    largest = dataclasses.replace(FULL, template=Template(model="m", model_sha256="cd" * 32, vector=vector))
    assert decode(encode(largest)) == largest


def test_a_template_does_not_print():
    assert "vector" not in repr(FULL)


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(to_document(FULL))
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("readings", 0, "extra"), 1),
        (("models", 0, "extra"), 1),
        (("error",), "NO_SUCH_CODE"),
        (("error",), 5),
        (("error",), "NO_FACE_DETECTED"),  # beside readings
        (("message",), None),
        (("message",), "x" * 1001),
        (("message",), "two\nlines"),
        (("message",), "escape \x1b[31m"),
        (("face_detected",), 1),
        (("readings",), {}),
        (("readings",), None),
        (("readings",), ["sharpness"]),
        (("readings", 1, "name"), "sharpness"),  # twice
        (("readings", 0, "name"), ""),
        (("readings", 0, "name"), "with space"),
        (("readings", 0, "name"), "x" * 81),
        (("readings", 0, "label"), 3),
        (("readings", 0, "status"), "perhaps"),
        (("readings", 0, "liveness"), 1.0001),
        (("readings", 0, "liveness"), -0.1),
        (("readings", 0, "liveness"), None),
        (("readings", 0, "liveness"), True),
        (("readings", 0, "liveness"), "0.5"),
        (("readings", 0, "liveness"), math.nan),
        (("readings", 1, "liveness"), 0.5),  # an abstention with a score
        (("readings", 0, "reason"), None),
        (("readings", 0, "detail"), ["x"]),
        (("notes",), ["ok"] * 65),
        (("notes",), [1]),
        (("notes",), "trailing_data"),
        (("models", 0, "sha256"), "AB" * 32),
        (("models", 0, "sha256"), "ab" * 31),
        (("models", 0, "version"), 1),
        (("template",), []),
        (("template", "extra"), 1),
        (("template", "model"), "two words"),
        (("template", "model_sha256"), "CD" * 32),
        (("template", "vector"), ""),
        (("template", "vector"), None),
        (("template", "vector"), "AAAA"),  # three bytes
        (("template", "vector"), "AAAAAA"),  # no padding
        (("template", "vector"), "AAAAAB=="),  # bits behind the last byte
        (("template", "vector"), "AAAA\nAA=="),
        (("template", "vector"), numbers(1.0, math.nan)),
        (("template", "vector"), numbers(math.inf)),
        (("template", "vector"), numbers(*[0.5] * 1025)),
        (("template_reason",), "face_cut_off"),  # beside a template
        (("template_reason",), None),
        (("picture",), 0),
        (("picture", "extra"), 1),
        (("picture", "pixels_sha256"), "ef" * 31),
        (("picture", "perceptual"), 5),
        (("picture", "perceptual"), "f" * 17),
        (("picture", "perceptual"), "FEDCBA9876543210"),
        (("elapsed_ms",), []),
        (("elapsed_ms", "mesh"), math.inf),
        (("elapsed_ms", "mesh"), -1),
        (("elapsed_ms", "a b"), 1.0),
        (("cpu_ms",), math.nan),
        (("cpu_ms",), 1e300),
        (("cpu_ms",), 10**400),
    ],
)
def test_whatever_the_contract_does_not_allow_is_refused(path, value):
    with pytest.raises(MalformedAnalysis):
        from_document(changed(path, value))


@pytest.mark.parametrize("field", ["template", "picture"])
def test_beside_an_error_there_is_nothing_of_the_face(field):
    document = {**to_document(REFUSED), field: to_document(FULL)[field]}
    with pytest.raises(MalformedAnalysis, match="beside an error"):
        from_document(document)


@pytest.mark.parametrize("bits", [-1, 2**64])
def test_a_perceptual_hash_has_64_bits(bits):
    with pytest.raises(ValueError, match="64 bits"):
        PictureHashes(pixels_sha256="ef" * 32, perceptual=bits)


@pytest.mark.parametrize("field", sorted(to_document(FULL)))
def test_no_field_may_be_missing(field):
    document = to_document(FULL)
    del document[field]
    with pytest.raises(MalformedAnalysis):
        from_document(document)


@pytest.mark.parametrize(
    "encoded", [b"", b"{", b"[]", b"null", b"NaN", b"\xff\xfe", b"[" * 2000, b" " * (MAX_BYTES + 1)]
)
def test_bytes_that_are_no_analysis(encoded):
    with pytest.raises(MalformedAnalysis):
        decode(encoded)


def test_encoding_refuses_what_decoding_would():
    with pytest.raises(MalformedAnalysis):
        encode(Analysis(elapsed_ms={"mesh": math.nan}))
    with pytest.raises(MalformedAnalysis):
        encode(Analysis(notes=("not a code",)))


def test_a_refusal_quotes_nothing():
    with pytest.raises(MalformedAnalysis) as refusal:
        from_document(changed(("readings", 0, "status"), "secret"))
    assert "secret" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(sorted(to_document(FULL))), value=JSON)
def test_any_value_anywhere_is_read_or_refused_but_never_another_error(field, value):
    try:
        analysis = from_document({**to_document(FULL), field: value})
    except MalformedAnalysis:
        return
    assert decode(encode(analysis)) == analysis


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Analysis, to_document(FULL)),
        (Reading, to_document(FULL)["readings"][0]),
        (ModelVersion, to_document(FULL)["models"][0]),
        (Template, to_document(FULL)["template"]),
        (PictureHashes, to_document(FULL)["picture"]),
    ],
)
def test_no_field_of_the_contract_is_forgotten(kind, document):
    assert {field.name for field in dataclasses.fields(kind)} == set(document)
