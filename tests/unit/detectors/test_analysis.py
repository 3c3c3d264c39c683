"""Bytes in, analysis out: the honest, the hostile and the mutated."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from detectors import annotation
from detectors.analysis import FaceAnalyser
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Reading, ReadingStatus
from stream.demo import attacks
from stream.pipeline.verdict.verdict import judge
from tests.unit.detectors.conftest import failing, saved


def test_a_selfie_gets_every_reading(analyser, selfie):
    analysis = analyser.analyse(selfie)
    assert (analysis.error, analysis.face_detected) == (None, True)
    assert [reading.name for reading in analysis.readings] == list(SIGNAL_LABELS)
    assert all(reading.status is ReadingStatus.SCORED for reading in analysis.readings)
    assert list(analysis.elapsed_ms) == ["gate", "decode", "mesh", "framing", "signals", "template", "hashes"]
    assert analysis.cpu_ms > 0
    assert len(analysis.models) == 3


def test_readings_are_repeatable(analyser, selfie, portrait):
    first = analyser.analyse(selfie).readings
    assert analyser.analyse(memoryview(selfie)).readings == first
    analyser.analyse(attacks.screen_replay(portrait))
    assert analyser.analyse(selfie).readings == first


@pytest.mark.parametrize(
    ("name", "make", "low", "high"),
    [
        ("camera photo: LIVE", attacks.camera_photo, 0.80, 1.0),
        ("without metadata: LIVE", attacks.without_metadata, 0.62, 1.0),
        ("printed photo: not LIVE", attacks.printed_photo, 0.0, 0.62),
        ("screen replay: SPOOF", attacks.screen_replay, 0.0, 0.54),
        ("photo of a photo: SPOOF", attacks.recaptured_photo, 0.0, 0.54),
        ("generated face: SPOOF", attacks.generated_face, 0.0, 0.54),
        ("low quality: INCONCLUSIVE", attacks.low_quality, 0.54, 0.62),
        ("edited: one signal doesn't decide", attacks.edited_photo, 0.54, 1.0),
        ("a screenshot: one signal doesn't decide", attacks.screenshot, 0.54, 1.0),
    ],
)
def test_the_demo_shows_every_verdict(analyser, portrait, policy, name, make, low, high):
    assert low <= judge(analyser.analyse(make(portrait)), policy).confidence < high, name


PAGE = Image.new("RGB", (90, 90))


@pytest.mark.parametrize(
    ("name", "image", "code"),
    [
        ("nothing", b"", ErrorCode.INVALID_REQUEST),
        ("another format", saved(PAGE, "TIFF", save_all=True, append_images=[PAGE]), ErrorCode.UNSUPPORTED_FORMAT),
        ("magic only", b"\xff\xd8\xff\xd9", ErrorCode.INVALID_REQUEST),
    ],
)
def test_hostile_bytes_are_answered(analyser, name, image, code):
    analysis = analyser.analyse(image)
    assert (analysis.error, analysis.readings, analysis.face_detected) == (code, (), False), name
    assert analysis.message


@pytest.mark.parametrize(
    ("make", "code", "found"),
    [(attacks.two_people, ErrorCode.MULTIPLE_FACES, True), (attacks.no_face, ErrorCode.NO_FACE_DETECTED, False)],
)
def test_not_one_person_is_refused(analyser, portrait, make, code, found):
    analysis = analyser.analyse(make(portrait))
    assert (analysis.error, analysis.face_detected) == (code, found)
    assert list(analysis.elapsed_ms) == ["gate", "decode", "mesh", "framing"]


def test_trailing_data_is_a_note(analyser, selfie):
    with_video = analyser.analyse(selfie + b"\x00ftypmp42" * 100)
    assert "trailing_data" in with_video.notes
    assert with_video.readings == analyser.analyse(selfie).readings


def not_a_number(seen: object) -> Reading:
    return Reading(name="sharpness", label="", status=ReadingStatus.SCORED, liveness=float("nan"), detail="nan")


@pytest.mark.parametrize("read", [failing(ZeroDivisionError("secret words of the file")), not_a_number])
def test_broken_signals_fail_alone(analyser, selfie, monkeypatch, read):
    monkeypatch.setattr(analyser.signals[0], "read", read)
    failed, *others = analyser.analyse(selfie).readings
    assert (failed.status, failed.liveness, failed.reason) == (ReadingStatus.FAILED, 0.0, "signal_error")
    assert "secret" not in failed.detail
    assert all(reading.status is ReadingStatus.SCORED for reading in others)


def test_broken_mesh_is_an_error(analyser, selfie, monkeypatch):
    monkeypatch.setattr(analyser.mesh, "find", failing(RuntimeError("graph failed")))
    analysis = analyser.analyse(selfie)
    assert analysis.error is ErrorCode.INFERENCE_ERROR
    assert "graph" not in analysis.message


def test_shared_photographs_look_alive(analyser, policy, photographs):
    """Real photographs are LIVE or, with two or no faces found, not answered at all."""
    for path in photographs:
        analysis = analyser.analyse(path.read_bytes())
        if path.name.startswith("two_people"):
            assert analysis.error in (ErrorCode.MULTIPLE_FACES, ErrorCode.NO_FACE_DETECTED)
            continue
        assert judge(analysis, policy).confidence > 0.70, path.name
        readings = {reading.name: reading.liveness for reading in analysis.readings}
        for name, least in (("lbp_texture", 0.55), ("fft_deepfake", 0.60), ("facial_symmetry", 0.80)):
            assert readings[name] >= least, (path.name, name)


def test_tasks_bundle_is_an_adapter(bundle, policy, selfie):
    other = FaceAnalyser(policy, bundle)
    analysis = other.analyse(selfie)
    other.close()
    assert analysis.models[0].name == "face_landmarker"
    assert judge(analysis, policy).confidence > 0.80


def test_an_annotated_picture_is_written(analyser, selfie, portrait, tmp_path):
    framed = analyser.look(selfie)
    annotation.annotate(framed, tmp_path / "seen.png")
    drawn = attacks.decode((tmp_path / "seen.png").read_bytes())
    assert drawn.shape == portrait.shape
    assert (drawn != framed.seen.frame.bgr).any()
    with pytest.raises(OSError, match="No such file"):
        annotation.annotate(framed, tmp_path / "no" / "folder.png")


FILES = {"JPEG": attacks.camera_photo, "PNG": attacks.screenshot}


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6), repeat=st.integers(0, 3)
)
def test_mutated_pictures_are_answered(analyser, portrait, kind, edits, repeat):
    mutated = bytearray(FILES[kind](portrait))
    for where, what in edits:
        start = int(where ** (repeat + 1) * (len(mutated) - 8))
        mutated[start : start + len(what)] = what
    analysis = analyser.analyse(bytes(mutated))
    assert (analysis.error is None) == (len(analysis.readings) == 8)
    assert analysis.cpu_ms >= 0
