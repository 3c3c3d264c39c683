"""`liveness bench --faces`: what is measured and told, and what it leaves behind on the server: nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from abuse.faces.redis_face_index import RedisFaceIndex
from config import settings as configuration
from config.errors import SettingsError
from config.settings import RedisSettings
from detectors.template import TemplateSpec, built_in
from detectors.template.calibration import Calibration, Labelled, calibrate
from stream import cli
from stream.bench import face_index, media_index
from stream.bench.face_index import FaceResult
from stream.bench.media_index import MediaResult
from stream.cli import bench_faces
from stream.embedded.store import EmbeddedStore
from stream.redis.client import connect
from stream.runtime.patience import DependencyTimeout

BYTES_A_FACE = 1000


@pytest.fixture
def server(empty_redis: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the configured Redis, which tells a memory that can be foretold; and few of everything."""
    asked: list[object] = []

    async def used(calls: object) -> int:
        asked.append(calls)
        return 0 if len(asked) % 2 else 20 * BYTES_A_FACE

    for module in (face_index, media_index):
        monkeypatch.setattr(module, "used_memory", used)
    for name, count in (("PICTURES", 20), ("MET_FACES", 6), ("MET_PICTURES", 6)):
        monkeypatch.setattr(bench_faces, name, count)
    monkeypatch.setenv("LIVENESS_REDIS__URL", empty_redis)
    monkeypatch.setenv("LIVENESS_ABUSE__FACE_SPAN_H", "24")
    monkeypatch.setenv("LIVENESS_ABUSE__FACES_AN_HOUR", "1000")
    return empty_redis


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["bench", "--faces", *words])


async def left(url: str) -> list[object]:
    calls = connect(RedisSettings(url=url, call_timeout_s=20))
    try:
        return await calls.execute([("SCAN", b"0", "MATCH", "*", "COUNT", 10_000)])
    finally:
        await calls.close()


async def put(url: str, key: str) -> None:
    calls = connect(RedisSettings(url=url, call_timeout_s=20))
    try:
        await calls.execute([("SET", key, b"1")])
    finally:
        await calls.close()


def calibration(model: TemplateSpec) -> Calibration:
    """Of ten people, two pictures each."""
    random = np.random.default_rng(3)
    templates = []
    for person in range(10):
        own = random.normal(0, 0.08, 60)
        templates += [Labelled(str(person), (own + random.normal(0, 0.03, 60)).astype(np.float32)) for _ in range(2)]
    return calibrate(model, templates)


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[TemplateSpec], str]:
    """A folder that gives this model's calibration."""

    def of(model: TemplateSpec) -> str:
        told = calibration(model), {"NO_FACE": ["a.jpg", "b.jpg"]}
        monkeypatch.setattr(bench_faces, "measured_on", lambda folder, settings: told)
        return str(tmp_path)

    return of


def test_it_measures_both_indexes_as_the_settings_lay_them_out(server):
    result = run("--kept", "20,40", "--json")
    assert result.exit_code == 0, result.output
    document = orjson.loads(result.stdout_bytes)
    assert (document["span_h"], document["parts"], document["template"]) == (24, 1, None)
    assert [each["faces"] for each in document["faces"]] == [20, 40]
    for each in document["faces"]:
        assert set(each) == {field.name for field in fields(FaceResult)}
        assert each["recall"] == 1.0
        assert 1 <= each["places"] <= 8
        assert 0 < each["add_p50_ms"] <= each["add_p99_ms"]
        assert 0 < each["meet_p50_ms"] <= each["meet_p99_ms"]
        assert 0 < each["busy_p50_ms"] <= each["busy_p99_ms"]
        assert each["busy_per_s"] > 0 < each["cpu_ms"]
    assert document["faces"][0]["bytes_per_face"] == BYTES_A_FACE
    (pictures,) = document["pictures"]
    assert set(pictures) == {field.name for field in fields(MediaResult)}
    assert (pictures["pictures"], pictures["found"]) == (20, 1.0)


def test_its_keys_are_removed_and_nobody_else_s(server):
    asyncio.run(put(server, "bench-neighbour"))
    bench_faces._measured(configuration.load(), bench_faces._plan(configuration.load(), [10]))
    assert asyncio.run(left(server)) == [[b"0", [b"bench-neighbour"]]]


def test_its_keys_are_removed_when_it_fails_too(server, monkeypatch):
    async def broken(self: object, at_once: int) -> None:
        assert (await left(server))[0][1]
        raise RuntimeError("on the way")

    monkeypatch.setattr(face_index._Bench, "_meet", broken)
    with pytest.raises(RuntimeError, match="on the way"):
        bench_faces._measured(configuration.load(), bench_faces._plan(configuration.load(), [10]))
    assert asyncio.run(left(server)) == [[b"0", []]]


def test_in_words_too(server, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    result = run("--kept", "20")
    assert result.exit_code == 0, result.output
    assert re.search(r"search +\d+ at once +a second +own CPU +recall +bytes each", result.output)
    for word in ("faces, 24 h a key, in 1 part\n", "recall", "pictures", "found", f"{BYTES_A_FACE}"):
        assert word in result.stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stdout, "nothing is cut off on a narrow terminal"
    assert "Removing the benchmark's keys." in result.stderr


def test_the_template_is_told_at_the_bound_of_each_size(server, photographs):
    """The more faces are kept, the nearer one must be to be linked: fewer strangers, and fewer of one person."""
    result = run("--kept", "20,40", "--photographs", photographs(built_in.spec()), "--json")
    assert result.exit_code == 0, result.output
    template = orjson.loads(result.stdout_bytes)["template"]
    assert (template["people"], template["pictures"], template["left_out"]) == (10, 20, {"NO_FACE": 2})
    assert (template["genuine_pairs"], template["impostor_pairs"]) == (10, 180)
    bounds = template["bounds"]
    assert [each["faces"] for each in bounds] == [1, 20, 40]
    distances = [each["distance"] for each in bounds]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] <= round(built_in.spec().genuine_threshold, 4)
    measured = calibration(built_in.spec())
    for row in (*bounds, *template["rates"]):
        exact = measured.rate(row["distance"])
        assert (row["fmr"], row["fnmr"]) == (pytest.approx(exact.fmr, abs=0.01), pytest.approx(exact.fnmr, abs=0.11))
        assert row["expected_fmr"] == pytest.approx(exact.expected_fmr, rel=0.05, abs=1e-12)
    assert template["rates"][-1]["fmr"] == 1.0


def test_in_words_the_template_is_told_too(server, photographs):
    result = run("--kept", "20", "--photographs", photographs(built_in.spec()))
    assert result.exit_code == 0, result.output
    for word in ("20 pictures of 10 people", "2 left out: NO_FACE", "FNMR", "linked up to"):
        assert word in result.stdout


def test_a_model_that_nobody_calibrated_has_no_bounds(server, photographs):
    bare = replace(built_in.spec(), impostors=None, genuine_threshold=None)
    result = run("--kept", "20", "--photographs", photographs(bare), "--json")
    template = orjson.loads(result.stdout_bytes)["template"]
    assert template["bounds"] == []
    assert template["rates"]


def test_a_slow_search_is_measured_and_not_cut_short(server):
    settings = configuration.load()
    assert bench_faces._plan(settings, [10]).index.deadline_s > 10 * settings.abuse.face_search_s
    assert bench_faces._patient(settings).redis.call_timeout_s > settings.redis.call_timeout_s
    assert bench_faces._patient(settings).redis.url == settings.redis.url


def test_a_server_without_vector_sets_is_a_failure_that_says_so(server, monkeypatch):
    async def supported(self: object) -> bool:
        return False

    monkeypatch.setattr(RedisFaceIndex, "supported", supported)
    result = run("--kept", "20", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "8.0" in result.stderr


@pytest.mark.parametrize("kept", ["", "0", "ten", "10,"])
def test_what_is_no_size_is_wrong_use(kept, monkeypatch):
    result = run("--kept", kept)
    assert result.exit_code == 2
    assert "--kept" in result.stderr


def test_one_benchmark_at_a_time():
    assert run("--abuse").exit_code == 2


def test_a_folder_without_labelled_pictures_is_wrong_use_before_anything_is_measured(server, tmp_path: Path):
    result = run("--photographs", str(tmp_path))
    assert result.exit_code == 2
    assert "Filling" not in result.stderr


def test_a_cluster_is_not_measured(monkeypatch):
    monkeypatch.setenv("LIVENESS_REDIS__CLUSTER", "true")
    with pytest.raises(SettingsError, match="one server"):
        bench_faces.run("10", None, json=True)


def test_a_server_that_is_away_is_told_apart(server, monkeypatch):
    gone = EmbeddedStore()
    gone.close()
    monkeypatch.setenv("LIVENESS_REDIS__URL", gone.url)
    with pytest.raises(DependencyTimeout, match="Redis"):
        bench_faces.run("10", None, json=True)
