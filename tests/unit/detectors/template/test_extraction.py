"""The template as part of an analysis: there, or the reason why not; never an error of the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from config.limits.capture import TemplateGate
from config.policy import Policy
from detectors import picture_hash
from detectors.analysis import FaceAnalyser
from detectors.analysis_codec import decode, encode
from detectors.template import TemplateSource
from detectors.template.impostors import TemplateDistance
from detectors.template.port import distance_between, strangers_as_alike
from stream.demo import attacks
from tests.unit.detectors.conftest import failing

#: Two pictures of one person are 0.34 apart at least, a copy of a picture 0.21 at most.
COPY = 0.25


@pytest.fixture(scope="module")
def embedding(source: TemplateSource) -> Iterator[FaceAnalyser]:
    made = FaceAnalyser(Policy(), None, source)
    yield made
    made.close()


def vector_of(analyser: FaceAnalyser, image: bytes) -> np.ndarray:
    template = analyser.analyse(image).template
    assert template is not None
    return np.frombuffer(template.vector, "<f4")


def test_selfies_have_template_and_hashes(embedding, selfie):
    analysis, spec = embedding.analyse(selfie), embedding.template.spec
    assert (len(analysis.template.vector), analysis.template_reason) == (4 * 128, "")
    assert analysis.picture is not None
    assert (analysis.template.model, analysis.template.model_sha256) == (analysis.models[-1].name, spec.space_sha256)
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


def test_people_are_verified(embedding, photographs):
    """At the rate that the policy asks for; the fit is of the same photographs."""
    people = [path for path in photographs if path.name.startswith("person")]
    templates = {path.stem: embedding.analyse(path.read_bytes()).template for path in people}
    for one, first in templates.items():
        for two, second in templates.items():
            strangers = strangers_as_alike(first, second, embedding.template.spec.impostors)
            same = one.split("_")[1] == two.split("_")[1]
            assert (strangers <= Policy().verification.false_match_rate) == same, (one, two)


def test_cut_off_faces_get_none(embedding, photographs):
    partial = [path for path in photographs if path.name.startswith("partial")]
    assert partial
    for path in partial:
        analysis = embedding.analyse(path.read_bytes())
        assert (analysis.template, analysis.template_reason) == (None, "face_cut_off"), path.name
        assert analysis.picture is not None
        assert analysis.readings


def test_templates_can_be_off(analyser, source, selfie):
    off = FaceAnalyser(Policy(template=TemplateGate(active=False)), None, source)
    for each in (analyser, off):
        analysis = each.analyse(selfie)
        assert (analysis.template, analysis.template_reason) == (None, "template_off")
        assert analysis.picture is not None
        assert len(analysis.models) == 3
    off.close()


def test_whatever_breaks_costs_itself_only(embedding, selfie, monkeypatch):
    broken = failing(ZeroDivisionError("words of the picture"))
    with monkeypatch.context() as patched:
        patched.setattr(embedding.template, "embed", broken)
        analysis = embedding.analyse(selfie)
    assert (analysis.template, analysis.template_reason) == (None, "template_failed")
    assert (analysis.readings != (), analysis.picture is not None) == (True, True)
    monkeypatch.setattr(picture_hash, "hashes_of", broken)
    analysis = embedding.analyse(selfie)
    assert (analysis.template is not None, analysis.picture) == (True, None)


@pytest.mark.parametrize(
    ("first", "second", "kind", "distance"),
    [
        ((3, 4), (0, 0), TemplateDistance.EUCLIDEAN, 5.0),
        ((3, 4), (-5, 4), TemplateDistance.COSINE, 1 - 1 / (5 * np.sqrt(41))),
        ((3, 4), (3, 4), TemplateDistance.EUCLIDEAN, 0.0),
        ((3, 4), (3, 4), TemplateDistance.COSINE, 0.0),
        ((0, 0), (0, 0), TemplateDistance.COSINE, 1.0),  # without a direction: no match
    ],
)
def test_distances(first, second, kind, distance):
    vectors = np.array([first, second], np.float32)
    assert distance_between(*vectors, kind) == pytest.approx(distance, abs=1e-9)
