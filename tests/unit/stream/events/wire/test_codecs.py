"""Both codecs, a slot's `Analysis` and the event between the two agents: nothing is lost, and nothing else gets in."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.observation import NOWHERE
from abuse.pictures.media_keys import KeyedImageHashes
from config.catalogues.error_codes import ErrorCode
from config.legal_values import MOST_HASH_KEYS
from detectors import analysis_codec
from detectors.analysis_codec import MAX_BYTES, MalformedAnalysis
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import MAX_FRAMES, Analysis, PictureHashes, Template
from detectors.contract_measures import FEATURE, MOST_FEATURES, PROFILE, PROFILE_PLACES, RegionLight
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection, Refusal
from stream.events.wire.detection_codec import (
    LATEST_MS,
    MAX_DETECTION_BYTES,
    DetectionError,
    decode_detection,
    detection_output,
    encode_detection,
)
from tests.unit.stream.builders import FINGERPRINT, GUID, SECRET, analysis, detection, ids
from tests.unit.stream.events.wire.codec_cases import ANALYSES, DETECTIONS, FULL, GOLDEN, MEASURES, decided
from tests.unit.stream.json_schema import changed


@dataclass(frozen=True, slots=True)
class Codec:
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    error: type[Exception]
    most_bytes: int


CODECS = {
    "analysis": Codec(analysis_codec.encode, analysis_codec.decode, MalformedAnalysis, MAX_BYTES),
    "detection": Codec(encode_detection, decode_detection, DetectionError, MAX_DETECTION_BYTES),
}
VALUES = {f"analysis-{name}": value for name, value in ANALYSES.items()} | {
    f"detection-{name}": value for name, value in DETECTIONS.items()
}


def codec_of(name: str) -> Codec:
    return CODECS[name.partition("-")[0]]


@cache
def document(name: str) -> dict[str, Any]:
    given: dict[str, Any] = orjson.loads((GOLDEN / f"{name}.json").read_bytes())
    return given


def refusal_of(codec: Codec, value: Any) -> str:
    """Words of the refusal of a value; they never quote the value."""
    with pytest.raises(codec.error) as refused:
        codec.decode(value if isinstance(value, bytes) else orjson.dumps(value))
    said = str(refused.value)
    assert SECRET not in said
    assert len(said) < 300
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return said


# Nothing is lost


@pytest.mark.parametrize("name", VALUES)
def test_golden_bytes_are_read_and_written(name):
    """As the first codecs wrote them: what is on the topic, or in a slot of another version, is still read."""
    golden, codec = (GOLDEN / f"{name}.json").read_bytes(), codec_of(name)
    assert codec.decode(golden) == VALUES[name]
    assert codec.encode(codec.decode(golden)) == golden, "with former keys, which are not compared"
    assert codec.encode(VALUES[name]) == golden


@pytest.mark.parametrize("buffer", [memoryview, bytearray])
def test_an_analysis_is_read_from_any_buffer(buffer):
    """Also with a template of the largest size."""
    vector = struct.pack("<1024f", *range(1024))
    largest = replace(FULL, template=Template(model="m", model_sha256="cd" * 32, vector=vector))
    assert analysis_codec.decode(buffer(analysis_codec.encode(largest))) == largest


def test_a_whole_number_is_a_number():
    assert analysis_codec.decode(orjson.dumps(document("analysis-full") | {"cpu_ms": 3})).cpu_ms == 3.0


def test_the_largest_session_fits_into_a_detection():
    """Twelve measured frames, each with the largest template, all features and a reading of every signal."""
    vector = struct.pack("<1024f", *np.random.default_rng(0).normal(size=1024))
    light = RegionLight(red=1 / 3, green=1 / 7, blue=1 / 9, clipped=1 / 11)
    shape = tuple(np.random.default_rng(1).uniform(0, 1, len(MEASURES.shape)).round(5).tolist())
    scene, profiles = b"\7" * FEATURE.itemsize * MOST_FEATURES, b"\7" * PROFILE.itemsize * PROFILE_PLACES
    measures = replace(MEASURES, scene=scene, profiles=profiles, light=(light,) * 8, shape=shape)
    template = Template(model="m" * 80, model_sha256="cd" * 32, vector=vector)
    readings = analysis(dict.fromkeys(SIGNAL_LABELS, 1 / 3)).readings
    frame = replace(FULL, readings=readings, template=template, measures=measures)
    assert len(analysis_codec.encode(frame)) < MAX_BYTES / 4
    twelve = detection((frame,) * 12)
    encoded = encode_detection(twelve)
    assert len(encoded) < MAX_DETECTION_BYTES / 2
    assert decode_detection(encoded) == twelve


def test_a_template_does_not_print():
    """Nor do landmarks, and what is seen around a face."""
    assert "vector" not in repr(FULL)
    assert not {"shape", "scene", "profiles", "light"} & set(re.findall(r"\w+", repr(MEASURES)))


def test_what_an_earlier_worker_did_not_write_is_nothing():
    given = {name: value for name, value in document("detection-analysed").items() if name not in LATER}
    read = decode_detection(orjson.dumps(given))
    assert (read.origin, read.references) == (NOWHERE, NO_REFERENCES)


# Nothing else gets in


def at(given: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        given = given[step]
    return given


def path_of(dotted: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdigit() else step for step in dotted.split(".") if step)


def numbers(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


#: Of orjson, which writes no number that isn't finite nor of more than 64 bits: such bytes are put in as they are.
RAW = {"NaN": b"NaN", "Infinity": b"Infinity", "1e400": b"1e400", "huge": b"1" + b"0" * 400}
NUMBERS = [-1, None, True, "0.5", [], *RAW]
CODE_WRONG = [None, 1, [], "with space", "x" * 81, "-first", "ü", "line\n"]
TEXT_WRONG = [None, 3, ["x"], "x" * 1001, "two\nlines", "escape \x1b[31m", "\x85", "\u2028"]
SHA_WRONG = [None, 5, "AB" * 32, "ab" * 31, "ab" * 33, "ab" * 32 + "\n"]
HASH = "k1-" + "a" * 32
#: Name of a reading that a slot may not send; in a detection a newer release may have sent it (`test_newer_names.py`).
OF_NO_DETECTOR = "palm_reading"

#: Golden document -> path -> values that are refused there.
HOSTILE: dict[str, dict[str, list[Any]]] = {
    "analysis-full": {
        "error": ["NO_SUCH_CODE", SECRET, 5, "NO_FACE_DETECTED"],  # the last beside readings
        "message": TEXT_WRONG,
        "face_detected": [1, 0, None, "true"],
        "readings": [{}, None, ["sharpness"], SECRET],
        "readings.0.name": ["", *CODE_WRONG, OF_NO_DETECTOR, "exif_metadata"],  # the last twice
        "readings.0.label": TEXT_WRONG,
        "readings.0.status": ["perhaps", SECRET, None, 1],
        "readings.0.liveness": [1.0001, -0.1, *NUMBERS],
        "readings.1.liveness": [0.5],  # an abstention with a score
        "readings.0.reason": CODE_WRONG,
        "readings.0.detail": TEXT_WRONG,
        "notes": [["ok"] * 65, [1], [""], ["a b"], "trailing_data", None],
        "models": [[{}], {}, None, ["x"]],
        "models.0.name": TEXT_WRONG,
        "models.0.version": TEXT_WRONG,
        "models.0.sha256": SHA_WRONG,
        "template": [[], {}, 0, SECRET],
        "template.model": ["", *CODE_WRONG],
        "template.model_sha256": SHA_WRONG,
        "template.vector": [
            *("", None, 5, SECRET, "ü"),
            *("AAAA", "AAAAAA", "AAAAAB==", "AAAA\nAA=="),  # three bytes, no padding, bits behind the last, a line end
            *(numbers(1.0, math.nan), numbers(math.inf), numbers(*[0.5] * 1025)),
        ],
        "template_reason": ["face_cut_off", *CODE_WRONG],  # the first beside a template
        "picture": [0, [], {}],
        "picture.pixels_sha256": SHA_WRONG,
        "picture.perceptual": [5, None, "f" * 15, "f" * 17, "FEDCBA9876543210", "f" * 16 + "\n", "-" + "f" * 15],
        "elapsed_ms": [[], None, {f"s{n}": 1.0 for n in range(65)}, {"a b": 1.0}, {SECRET + " ": 1.0}, {"": 1.0}],
        "elapsed_ms.mesh": [86_400_001, *NUMBERS],
        "cpu_ms": [1e300, *NUMBERS],
    },
    "analysis-measured": {
        "measures": [0, [], {}, SECRET],
        "measures.yaw": [180.5, -181, *NUMBERS[1:]],
        "measures.eye_left": [10.5, *NUMBERS[1:]],
        "measures.mouth_width": [-10.5, *NUMBERS[1:]],
        "measures.shape": [[], [0.5], [0.5] * 200, None, ["a"] * 82, [3.5] * 82],
        "measures.shape.0": [-2.5, 3.5, *NUMBERS[1:]],
        "measures.scene": [
            *(None, 5, SECRET, "ü", "AAAA", "A" * 28, base64.b64encode(b"\0" * 21).decode()),
            base64.b64encode(b"\0" * FEATURE.itemsize * (MOST_FEATURES + 1)).decode(),
        ],
        "measures.profiles": [
            *(None, 5, SECRET, "ü", "AAAA", base64.b64encode(b"\0" * PROFILE.itemsize).decode()),
            base64.b64encode(b"\0" * PROFILE.itemsize * (PROFILE_PLACES + 1)).decode(),
        ],
        "measures.light": [[], [None] * 7, [None] * 9, None, [5] * 8],
        "measures.light.0": [{}, [], 5],
        "measures.light.0.red": [1.5, *NUMBERS],
        "measures.light.1.clipped": [1.5, *NUMBERS],
        "measures.brightness": [256, *NUMBERS],
        "measures.clipped": [1.5, *NUMBERS],
        "measures.sharpness": [1e7, *NUMBERS],
    },
    "analysis-refused": {  # beside an error there is nothing of the face
        "measures": [document("analysis-measured")["measures"]],
        "template": [document("analysis-full")["template"]],
        "picture": [document("analysis-full")["picture"]],
    },
    "detection-refused": {
        "version": [0, 2, "1", None, [], 1.5, True],
        "fingerprint": ["", "x" * 32, "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", 5, None],
        "appended_at_ms": [-1, 1.5, "5", None, True, [], "1e400", "huge", LATEST_MS + 1],  # the last has no date
        "queue_ms": [86_400_001, *NUMBERS],
        "detection_ms": [-0.1, 86_400_001, *NUMBERS],
        "ids": [None, [], "x", {}],
        "ids.submission_id": ["", "a b", "a\x00b", "x" * 129, "ü", 5, None],
        "ids.correlation_id": ["", GUID.upper(), GUID.replace("-", ""), "user-1", GUID + "\n", 5],
        "ids.tenant": ["", "a b", "a\x00b", "x" * 65, "a/b", 5],
        "ids.session_id": ["", "a\nb", "x" * 257, 5],
        "ids.resource_id": ["", "a\nb", "x" * 257, []],
        "origin": [5, [], {}],
        "origin.device": [5, HASH, {}, {"key": HASH}, {"key": "203.0.113.9", "former": []}],
        "origin.address": [{"key": HASH.upper(), "former": []}, {"key": f"{HASH}\n", "former": []}],
        "origin.prefix": [
            *({"key": HASH, "former": former} for former in (["x"], [HASH] * (MOST_HASH_KEYS + 1))),
            {"key": HASH, "former": [], "raw": "203.0.113.0/24"},
        ],
        "origin.networks": [None, "tor", ["Tor"], ["a b"], [""], ["x" * 65], ["tor"] * 257, [5]],
        "origin.as_expected": [0, "no"],
        "refusal": [5, "x", {}],
        "refusal.error": [SECRET, None, 5],
        "refusal.message": [None, 5, "x" * 1001, "a\nb", "\x9b31m"],
        "refusal.counts": [1, None, "true"],
    },
    "detection-analysed": {
        "analysis": [{}, [], 5, SECRET, {"error": SECRET}],
        "marks": [5, [], {}],
        "marks.face": [{}, 5],
        "marks.face.model": ["a b", "", 5],
        "marks.face.key_id": ["k|1", "", "x" * 33, 5],
        "marks.face.packed": [
            *("%%", "", "A" * 4000, None, "ü"),
            base64.b64encode(b"\0" * 256).decode(),
            base64.b64encode(b"\xff\x7f" * 128).decode(),
        ],
        "marks.picture": [None, {}, [document("detection-analysed")["marks"]["picture"][0]] * (MOST_HASH_KEYS + 1)],
        "marks.picture.0.key_id": ["k|1", "", None],
        "marks.picture.0.bytes": ["AB" * 8, None, "ff"],
        "marks.picture.1.pixels": [None, 7, "f" * 17],
        "marks.picture.0.perceptual": ["ff", 7, "f" * 16 + "\n"],
    },
    "detection-several_frames": {
        "analyses": [[], {}, 5, [document("analysis-full")], [document("analysis-full")] * (MAX_FRAMES + 1)],
        "analyses.1": [None, [], {}],
        "analyses.1.readings.0.name": ["exif_metadata"],
        "analyses.1.template.vector": [numbers(math.nan)],
        "analyses.0.cpu_ms": NUMBERS,
    },
    "detection-decided": {"decided": [5, [], {}]},
}
#: Fields that workers of an earlier version didn't write.
LATER = {"origin", "marks"}
#: Objects in which no field may be missing (but for those named) and none may be added.
OBJECTS: dict[str, dict[str, set[str]]] = {
    "analysis-full": {"": set(), "readings.0": set(), "models.0": set(), "template": set(), "picture": set()},
    "analysis-measured": {"measures": set(), "measures.light.0": set()},
    "detection-refused": {"": LATER, "ids": set(), "origin": set(), "origin.prefix": set(), "refusal": set()},
    "detection-analysed": {"": LATER, "marks": set(), "marks.face": set(), "marks.picture.0": set()},
}


MALFORMED = "missing, unknown or malformed: "
#: What is said of rules that no single field breaks.
BETWEEN_FIELDS = {
    *("readings beside an error", "two readings of one name", "a template, and a reason why there is none"),
    *("a template or a picture's hashes beside an error", "measures beside an error"),
}


def cases() -> dict[str, list[tuple[str, Any]]]:
    """Paths and values that are refused in each golden document."""
    wrong = {name: [(path, value) for path in table for value in table[path]] for name, table in HOSTILE.items()}
    for name, objects in OBJECTS.items():
        for path, optional in objects.items():
            fields = at(document(name), path_of(path))
            within = f"{path}." if path else ""
            wrong[name] += [(f"{within}{field}", ...) for field in fields if field not in optional]
            wrong[name].append((f"{within}{SECRET}", 1))
    nested = [(f"analysis.{path}", value) for path, value in wrong["analysis-full"] if value != OF_NO_DETECTOR]
    wrong["detection-analysed"] += nested
    return wrong


def written(given: dict[str, Any], path: str, value: Any) -> bytes:
    if not isinstance(value, str) or value not in RAW:
        return orjson.dumps(given)
    at(given, path_of(path)[:-1])[path_of(path)[-1]] = marker = "to-be-replaced"
    return orjson.dumps(given).replace(f'"{marker}"'.encode(), RAW[value])


@pytest.mark.parametrize(("name", "wrong"), cases().items(), ids=cases())
def test_what_is_not_allowed_is_refused(name, wrong):
    """By the name of its outermost field, or by the rule that it breaks between fields; never by a stranger's name."""
    for path, value in wrong:
        given = changed(document(name), path_of(path), value)
        said = refusal_of(codec_of(name), written(given, path, value))
        first = str(path_of(path)[0])
        assert said.startswith((MALFORMED, "exactly one", "marks.face is no print", "decided is no")), (path, value)
        assert first in said or first == SECRET or said.removeprefix(MALFORMED) in BETWEEN_FIELDS, (path, value)


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("error", "NO_FACE_DETECTED", "readings beside an error"),
        ("readings.0.name", "exif_metadata", "two readings of one name"),
        ("template_reason", "face_cut_off", "a template, and a reason why there is none"),
        ("template.vector", numbers(math.nan), "template.vector.a number is not finite"),
    ],
)
def test_a_rule_between_fields_is_named(path, value, rule):
    for name, within in (("analysis-full", ""), ("detection-analysed", "analysis.")):
        said = refusal_of(codec_of(name), changed(document(name), path_of(within + path), value))
        assert said == f"{MALFORMED}{within}{rule}"


OTHER_KINDS = [
    *(b"", b"{", b"null", b"[]", b"5", b'"x"', b"NaN", b"\xff\xfe", b"\x00", b"[" * 100_000, SECRET.encode()),
    *(b'{"\\ud800": 1}', b'{"message": "\\ud800"}'),
]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_bytes_of_another_kind_are_refused(codec):
    for value in OTHER_KINDS:
        refusal_of(codec, value)


@pytest.mark.parametrize("name", VALUES)
def test_the_size_limit_is_exact(name):
    codec = codec_of(name)
    encoded = codec.encode(VALUES[name])
    padded = encoded + b" " * (codec.most_bytes - len(encoded))
    assert codec.decode(padded) == VALUES[name]
    assert "too" in refusal_of(codec, padded + b" ")


@pytest.mark.parametrize("other", ["analysed", "decided", "several_frames"])
def test_a_detection_has_exactly_one_finding(other):
    refused = document("detection-refused")
    neither = {name: value for name, value in refused.items() if name != "refusal"}
    for found in (neither, document(f"detection-{other}") | refused):
        assert refusal_of(CODECS["detection"], found) == "exactly one of analysis, refusal and decided must be there"


@pytest.mark.parametrize("text", ["", "é", "AA", "!!!!", SECRET, "bm90IGpzb24=", "W10=", "////"])
def test_what_is_said_to_be_decided_must_be_a_decision(text):
    said = refusal_of(CODECS["detection"], document("detection-decided") | {"decided": text})
    assert said.startswith("decided is not a decision")


@pytest.mark.parametrize("about", [(ids(submission_id="sub-2"),), (ids(tenant="bank-1"),), (ids(), "f" * 32)])
def test_a_decision_on_another_submission_is_not_passed_on(about):
    said = refusal_of(CODECS["detection"], encode_detection(detection(decided(*about))))
    assert said == "decided is not a decision on this submission"


@pytest.mark.parametrize("change", [{"correlation_id": 7}, {"submission_id": None}, {"result": ...}])
def test_part_of_a_decision_is_not_passed_on(change):
    """Fields of a kept decision are read again at admission."""
    whole = orjson.loads(decided(ids()).decision) | change
    part = orjson.dumps({name: value for name, value in whole.items() if value is not ...})
    text = base64.b64encode(part).decode()
    assert "whole decision" in refusal_of(CODECS["detection"], document("detection-decided") | {"decided": text})


@pytest.mark.parametrize("bits", [-1, 2**64])
def test_a_perceptual_hash_has_64_bits(bits):
    with pytest.raises(ValueError, match="64 bits"):
        PictureHashes(pixels_sha256="ef" * 32, perceptual=bits)


@pytest.mark.parametrize(
    "wrong",
    [
        *(Analysis(elapsed_ms={"mesh": math.nan}), Analysis(cpu_ms=math.inf), Analysis(notes=("not a code",))),
        *(Analysis(message=5), Analysis(readings=(object(),)), None),
        Analysis(error=ErrorCode.NO_FACE_DETECTED, readings=FULL.readings),
    ],
)
def test_encoding_refuses_what_decoding_would(wrong):
    with pytest.raises(MalformedAnalysis):
        analysis_codec.encode(wrong)


# Any value


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(VALUES)), data=st.data(), value=JSON)
def test_any_value_anywhere_is_read_or_refused(name, data, value):
    given = document(name)
    field = data.draw(st.sampled_from(sorted(given)))
    read_or_refused(codec_of(name), orjson.dumps(given | {field: value}))


@given(st.sampled_from(sorted(VALUES)), st.integers(0, 10_000), st.integers(0, 8), st.binary(max_size=4))
def test_mutated_bytes_are_read_or_refused(name, start, cut, instead):
    value = (GOLDEN / f"{name}.json").read_bytes()
    start %= len(value)
    read_or_refused(codec_of(name), value[:start] + instead + value[start + cut :])


def read_or_refused(codec: Codec, value: bytes) -> None:
    try:
        found = codec.decode(value)
    except codec.error:
        return
    if isinstance(found, Detection):  # times are written to the microsecond
        found = replace(found, queue_ms=round(found.queue_ms, 3), detection_ms=round(found.detection_ms, 3))
    assert codec.decode(codec.encode(found)) == found


id_text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
all_ids = st.builds(
    SubmissionIds,
    submission_id=id_text,
    correlation_id=st.none() | st.uuids().map(str),
    tenant=st.none() | st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    session_id=st.none() | id_text,
    resource_id=st.none() | id_text,
)
several = st.lists(
    st.dictionaries(st.sampled_from(list(SIGNAL_LABELS)), st.none() | st.floats(0, 1)).map(analysis),
    min_size=1,
    max_size=MAX_FRAMES,
).map(tuple)
words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200)
findings = several | st.builds(Refusal, error=st.sampled_from(ErrorCode), message=words, counts=st.booleans())
bits = st.integers(0, 2**64 - 1)
codes = st.builds(KeyedImageHashes, key_id=st.just("k1"), bytes=bits, pixels=bits, perceptual=bits)


@given(all_ids, findings, st.lists(codes, max_size=2).map(tuple), st.integers(0, 86_400_000_000))
def test_any_detection_survives(about, finding, picture, micros):
    references = ReuseReferences(picture=picture)
    sent = detection(finding, ids=about, references=references, appended_at_ms=micros, detection_ms=micros / 1000)
    assert decode_detection(encode_detection(sent)) == sent


# The record


def test_the_record_is_keyed_by_the_person():
    output = detection_output(detection(), "topic", "/here")
    headers = dict(output.headers)
    assert (output.key, headers["ce_type"]) == (GUID.encode(), b"liveness.detection.v1")
    assert headers["ce_id"] == FINGERPRINT.encode()
    assert detection_output(detection(ids=ids(correlation_id=None)), "topic", "/here").key == b"sub-1"
