"""Analyses of a picture set: by slots, kept at once, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from config.settings import Settings
from detectors.contract import Analysis, ModelVersion
from stream.bootstrap import slots
from stream.evaluation.analysing import AnalysedPresentation, Unreadable, analyse
from stream.evaluation.analysis_cache import AnalysisCache, analyser_key
from stream.events.message.messages import Refusal
from tests.unit.stream.evaluation.builders import presentation
from tests.unit.stream.evaluation.picture_reader import PictureReader, analysis, picture


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def pictures(tmp_path: Path, calls: Path) -> dict[str, bytes]:
    made = {f"{number}.jpg": picture(number / 10, count=str(calls)) for number in range(1, 8)}
    made |= {"no_face.jpg": picture(count=str(calls)), "text.jpg": b"no picture", "empty.jpg": b""}
    made["large.jpg"] = picture(0.5) + bytes(Policy().image.max_bytes)
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    return made


def run(tmp_path: Path, pictures: dict[str, bytes]) -> list[AnalysedPresentation]:
    named = [presentation(name, root=tmp_path) for name in [*pictures, "gone.jpg", "nul\0.jpg"]]
    progress: list[int] = []
    unconfined = Settings(detection={"confinement": "off"})  # type: ignore[arg-type]  # the slots count in a file
    found = analyse(named, unconfined, Policy(), tmp_path / "cache", progress.append, analyser=PictureReader)
    assert progress == list(range(1, len(named) + 1))
    assert [each.presentation for each in found] == named
    return found


def expect_findings(analysed_all: list[AnalysedPresentation]) -> None:
    found = {each.presentation.name: each.finding for each in analysed_all}
    for number in range(1, 8):
        analysed = found[f"{number}.jpg"]
        assert isinstance(analysed, Analysis)
        assert {reading.liveness for reading in analysed.readings} == {number / 10}
    errors = {name: each.error for name, each in found.items() if isinstance(each, Analysis | Refusal) and each.error}
    assert errors == {
        "no_face.jpg": ErrorCode.NO_FACE_DETECTED,
        "text.jpg": ErrorCode.UNSUPPORTED_FORMAT,
        "empty.jpg": ErrorCode.INVALID_REQUEST,
        "large.jpg": ErrorCode.IMAGE_TOO_LARGE,
    }
    assert {name for name, each in found.items() if isinstance(each, Unreadable)} == {"gone.jpg", "nul\0.jpg"}


def test_resumed(tmp_path: Path, pictures: dict[str, bytes], calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that was killed while writing a line, only what is missing is analysed again."""
    monkeypatch.setattr(slots, "SLOT_PRELOAD", (PictureReader.__module__,))  # a real analyser's libraries take seconds
    first = run(tmp_path, pictures)
    expect_findings(first)
    assert len(calls.read_bytes()) == 8
    kept = (tmp_path / "cache").read_bytes()
    (tmp_path / "cache").write_bytes(kept[:-40])
    second = run(tmp_path, pictures)
    assert len(calls.read_bytes()) == 9
    assert [_answer(each) for each in second] == [_answer(each) for each in first]
    run(tmp_path, pictures)
    assert len(calls.read_bytes()) == 9


def _answer(each: AnalysedPresentation) -> object:
    return (each.finding.error, each.finding.readings) if isinstance(each.finding, Analysis) else each.finding


def test_lines_of_no_use(tmp_path: Path) -> None:
    """And lines of another analyser."""
    for line in (b"{", b"[]", b'{"analyser": "key"}', b'{"analyser":"key","picture":"p","analysis":{}}', b"\xff\0"):
        (tmp_path / "cache").write_bytes(line)
        cache = AnalysisCache(tmp_path / "cache", "key")
        assert cache.get("p") is None
        cache.put("p", analysis(0.5))
        cache.close()
        assert AnalysisCache(tmp_path / "cache", "key").get("p") == analysis(0.5)
        assert AnalysisCache(tmp_path / "cache", "other").get("p") is None


def test_analyser_key() -> None:
    """Policies that judge an analysis differently share analyses; policies and models that make another one don't."""
    model = ModelVersion(name="m", version="1", sha256="0" * 64)
    plain = Policy()
    live, blurry = (
        plain.model_copy(update={"parameters": plain.parameters.model_copy(update=change)})
        for change in ({"live_threshold": 0.7}, {"min_blur_variance": 50.0})
    )
    assert analyser_key(live, [model]) == analyser_key(plain, [model])
    assert analyser_key(plain.model_copy(update={"inconclusive_band": 0.1}), [model]) == analyser_key(plain, [model])
    assert len({analyser_key(plain, [model]), analyser_key(blurry, [model]), analyser_key(plain, [])}) == 3
