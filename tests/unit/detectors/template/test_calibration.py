"""From labelled pictures to error rates and a fit."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from detectors.template import TemplateModelUnusable, TemplateSource, TemplateSpec, built_in, describe, load
from detectors.template.calibration import Labelled, as_toml, calibrate, labelled_pictures, unlabelled_pictures


@pytest.fixture
def spec() -> TemplateSpec:
    return built_in.spec()


def people(count: int, pictures: int) -> list[Labelled]:
    """Templates as the model behind the fit imagines them, 60 numbers that vary by 0.08 from person to person."""
    random = np.random.default_rng(3)
    found = []
    for person in range(count):
        own = random.normal(0, 0.08, 60)
        found += [Labelled(str(person), (own + random.normal(0, 0.03, 60)).astype(np.float32)) for _ in range(pictures)]
    return found


def test_pairs_and_spread_are_found(spec):
    measured = calibrate(spec, people(40, 2))
    assert (measured.people, measured.pictures) == (40, 80)
    assert len(measured.genuine) == 40
    assert len(measured.impostor) == 80 * 79 // 2 - 40
    assert measured.impostors.scale == pytest.approx(np.hypot(0.08, 0.03), rel=0.1)
    assert measured.genuine == tuple(sorted(measured.genuine))


def test_error_rates_by_threshold(spec):
    measured = calibrate(spec, people(20, 3))
    rates = measured.rates()
    assert [row.fmr for row in rates] == sorted(row.fmr for row in rates)
    assert [row.fnmr for row in rates] == sorted((row.fnmr for row in rates), reverse=True)
    assert (rates[-1].fmr, rates[-1].fnmr) == (1.0, 0.0)
    nothing = measured.rate(0.0)
    assert (nothing.fmr, nothing.fnmr, nothing.expected_fmr) == (0.0, 1.0, 0.0)
    middle = measured.rate(measured.impostor[len(measured.impostor) // 2])
    assert middle.expected_fmr == pytest.approx(0.5, abs=0.1)


def test_proposed_threshold_matches_no_strangers(spec):
    measured = calibrate(spec, people(30, 2))
    assert measured.impostors.false_match_rate(measured.proposed_threshold) <= 1.0001e-4
    twins = [Labelled("twin", people(30, 2)[0].vector)]
    assert calibrate(spec, [*people(30, 2), *twins]).proposed_threshold == 0.0


@pytest.mark.parametrize(("count", "pictures", "words"), [(5, 1, "same person"), (1, 5, "impostor")])
def test_too_few_pictures_are_refused(spec, count, pictures, words):
    with pytest.raises(ValueError, match=words):
        calibrate(spec, people(count, pictures))


def test_file_has_its_provenance(spec):
    measured = calibrate(replace(spec, sha256="ab" * 32), people(10, 2))
    read = tomllib.loads(as_toml(measured, "simulated"))
    assert read["calibration"]["dof"] == pytest.approx(measured.impostors.dof, abs=1e-3)
    told = {"source": "simulated", "model": spec.name, "model_version": spec.version, "model_sha256": "ab" * 32}
    told |= {"distance": "euclidean", "people": 10, "pictures": 20, "genuine_pairs": 10, "impostor_pairs": 180}
    distances = {"farthest_genuine": measured.genuine[-1], "nearest_impostor": measured.impostor[0]}
    assert read["provenance"] == told | {name: pytest.approx(each, abs=1e-4) for name, each in distances.items()}


def test_built_in_calibration_is_whole(spec, tmp_path):
    measured = calibrate(spec, people(10, 2))
    path = tmp_path / "own.toml"
    path.write_text(as_toml(measured, "simulated"))
    described, file = describe(TemplateSource(manifest=path, cache=tmp_path))
    assert described.genuine_threshold == pytest.approx(measured.proposed_threshold, abs=1e-4)
    assert described.impostors is not None
    assert described.impostors.dof == pytest.approx(measured.impostors.dof, abs=1e-3)
    assert described.space_sha256 == spec.space_sha256, "its templates are compared with those of before"
    assert file == built_in.prepared_file(tmp_path)
    with pytest.raises(TemplateModelUnusable, match="liveness models prepare"):
        load(TemplateSource(manifest=path, cache=tmp_path))


def test_other_calibration_extends_the_manifest(manifest):
    path = manifest()
    source = TemplateSource(manifest=path, cache=path.parent)
    spec, _ = describe(source)
    measured = calibrate(spec, people(10, 2))
    with path.open("a") as file:
        file.write(as_toml(measured, "simulated"))
    described, _ = describe(source)
    assert described.genuine_threshold == pytest.approx(measured.proposed_threshold, abs=1e-4)
    assert described.impostors is not None
    assert described.impostors.distance is spec.distance


def test_deciding_pairs_are_named(spec):
    told = {"a1": 0.0, "a2": 1.0, "a3": 1.5, "b1": 4.0, "b2": 4.1}
    measured = calibrate(spec, [Labelled(name[0], np.array([x, 0, 0], np.float32), name) for name, x in told.items()])
    assert (measured.worst_genuine, measured.nearest_impostor) == (("a1", "a3"), ("a3", "b1"))


def test_labels_are_names_or_folders(tmp_path):
    labelled = {"Ada/any.jpeg": "Ada", "person_a_1.jpg": "a", "person_a_2.PNG": "a", "person_bo_12.webp": "bo"}
    (tmp_path / "Ada").mkdir()
    for name in (*labelled, "two_people_1.jpg", "person_a.jpg", "x.txt", "Ada/notes.txt"):
        (tmp_path / name).touch()
    found = {str(path.relative_to(tmp_path)): person for person, path in labelled_pictures(tmp_path)}
    assert found == labelled
    assert [path.name for path in unlabelled_pictures(tmp_path)] == ["person_a.jpg", "two_people_1.jpg"]
