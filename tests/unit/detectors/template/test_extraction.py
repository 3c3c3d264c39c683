"""The template as part of an analysis: there, or the reason why not; never an error of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from config.policy import Policy, TemplateGate
from detectors import picture_hash
from detectors.analysis import FaceAnalyser
from detectors.analysis_codec import decode, encode
from detectors.template import TemplateSource, TemplateSpec
from detectors.template.impostors import TemplateDistance
from detectors.template.port import distance_between
from stream.demo import attacks
from stream.demo.attacks import Photo

#: Two pictures of one person are 0.34 apart at least, a copy of a picture 0.21 at most.
COPY = 0.25


@pytest.fixture(scope="module")
def embedding(source: TemplateSource) -> Iterator[FaceAnalyser]:
    made = FaceAnalyser(Policy(), None, source)
    yield made
    made.close()


@pytest.fixture(scope="module")
def selfie(portrait: Photo) -> bytes:
    return attacks.camera_photo(portrait)


def vector_of(analyser: FaceAnalyser, image: bytes) -> np.ndarray:
    template = analyser.analyse(image).template
    assert template is not None
    return np.frombuffer(template.vector, "<f4")


def test_selfies_have_template_and_hashes(embedding, selfie):
    analysis = embedding.analyse(selfie)
    assert analysis.template is not None
    assert analysis.template_reason == ""
    assert len(analysis.template.vector) == 4 * 128
    assert analysis.picture is not None
    assert embedding.template is not None
    assert embedding.template.spec.space_sha256 == analysis.template.model_sha256
    assert analysis.models[-1].name == analysis.template.model
    assert analysis.elapsed_ms["template"] > 0
    assert decode(encode(analysis)) == analysis


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_cosine_templates_are_unit_vectors(manifest, selfie, scale):
    """Numbers as small or large as these would be lost when two bytes are kept of each."""
    path = manifest(input={"scale": scale})
    analyser = FaceAnalyser(Policy(), None, TemplateSource(manifest=path, cache=path.parent))
    vector = vector_of(analyser, selfie)
    analyser.close()
    assert np.linalg.norm(vector) == pytest.approx(1.0)


def test_templates_survive_copying(embedding, selfie, portrait):
    first = vector_of(embedding, selfie)
    assert np.array_equal(first, vector_of(embedding, selfie))
    copied = vector_of(embedding, attacks.jpeg(portrait, quality=50))
    assert distance_between(first, copied, TemplateDistance.EUCLIDEAN) < COPY


def test_people_are_told_apart(embedding, photographs):
    vectors = {p.stem: vector_of(embedding, p.read_bytes()) for p in photographs if p.name.startswith("person")}
    threshold = embedding.template.spec.genuine_threshold  # type: ignore[union-attr]
    for one, first in vectors.items():
        for two, second in vectors.items():
            same = one.split("_")[1] == two.split("_")[1]
            assert (distance_between(first, second, TemplateDistance.EUCLIDEAN) <= threshold) == same, (one, two)


def test_cut_off_faces_get_none(embedding, photographs):
    partial = [path for path in photographs if path.name.startswith("partial")]
    assert partial
    for path in partial:
        analysis = embedding.analyse(path.read_bytes())
        assert (analysis.template, analysis.template_reason) == (None, "face_cut_off"), path.name
        assert analysis.picture is not None
        assert analysis.readings


def test_refused_pictures_have_none(embedding, portrait):
    analysis = embedding.analyse(attacks.no_face(portrait))
    assert analysis.error is not None
    assert (analysis.template, analysis.template_reason, analysis.picture) == (None, "", None)


def test_templates_can_be_off(analyser, source, selfie):
    off = FaceAnalyser(Policy(template=TemplateGate(active=False)), None, source)
    for each in (analyser, off):
        analysis = each.analyse(selfie)
        assert (analysis.template, analysis.template_reason) == (None, "template_off")
        assert analysis.picture is not None
        assert len(analysis.models) == 2
    off.close()


class BrokenModel:
    """A network that fails on this face."""

    def __init__(self, spec: TemplateSpec) -> None:
        self.spec = spec

    def embed(self, chip_rgb: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("words of the picture")


def test_broken_model_costs_the_template(embedding, selfie, monkeypatch):
    monkeypatch.setattr(embedding, "template", BrokenModel(embedding.template.spec))
    analysis = embedding.analyse(selfie)
    assert (analysis.template, analysis.template_reason) == (None, "template_failed")
    assert analysis.readings
    assert analysis.picture is not None


def test_broken_hashing_costs_the_hashes(embedding, selfie, monkeypatch):
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(picture_hash, "hashes_of", breaks)
    analysis = embedding.analyse(selfie)
    assert analysis.picture is None
    assert analysis.template is not None


def test_distances():
    three_four, other = np.array([3, 4], np.float32), np.array([-5, 4], np.float32)
    assert distance_between(three_four, np.zeros(2, np.float32), TemplateDistance.EUCLIDEAN) == pytest.approx(5.0)
    assert distance_between(three_four, other, TemplateDistance.COSINE) == pytest.approx(1 - 1 / (5 * np.sqrt(41)))
    for kind in TemplateDistance:
        assert distance_between(three_four, three_four, kind) == pytest.approx(0.0, abs=1e-9)


def test_no_direction_is_no_match():
    nothing = np.zeros(4, np.float32)
    assert distance_between(nothing, nothing, TemplateDistance.COSINE) == 1.0


def test_a_spec_names_its_model(embedding):
    assert embedding.template is not None
    spec = replace(embedding.template.spec, version="v2")
    assert (spec.model.name, spec.model.version, spec.model.sha256) == (spec.name, "v2", spec.sha256)
