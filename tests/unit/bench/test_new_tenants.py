"""Share and cost of new tenants: measured, and taken out of one ratio only."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.contract import Analysis, PictureHashes, Template
from stream.bench.floor import FloorRound
from stream.bench.load import LoadRun
from stream.bench.measurement import PathRound, result_of
from stream.bench.new_tenants import new_tenant_ms

TEMPLATE = Template(model="bench", model_sha256="ab" * 32, vector=np.linspace(-1, 1, 128, dtype="<f4").tobytes())
HASHES = PictureHashes(pixels_sha256="cd" * 32, perceptual=7)


@pytest.mark.parametrize(
    ("shows", "costs"), [({"template": TEMPLATE, "picture": HASHES}, True), ({}, False)], ids=["face", "nothing"]
)
def test_a_new_tenant_costs_where_there_is_a_face(shows, costs):
    assert (new_tenant_ms(Analysis(face_detected=bool(shows), **shows)) > 0.1) is costs


@pytest.mark.parametrize(("new", "known"), [(0, 10 / 16), (8, 10 / 12), (10, 10 / 11)])
def test_ratio_of_known_tenants_leaves_out_what_new_ones_cost(new, known):
    run = LoadRun(sent=10, new_tenants=new, undecided=0, moments=(), latencies_s=(), errors={}, elapsed_ms={})
    path = PathRound(per_s=50.0, cpu_ms={"worker": 6.0, "fork_server": 0.0, "slot": 10.0}, run=run)
    floor = FloorRound(per_s=100.0, cpu_ms=10.0, new_tenant_ms=5.0)
    found = result_of("s", "hot", picture_bytes=1, floors=[floor], paths=[path], latencies={}, peak_mib={})
    assert (found.new_tenants, found.new_tenant_cpu_ms) == (new / 10, 5.0)
    assert found.known_cpu_ratio == pytest.approx(known)
    assert (found.path_cpu_ms, found.cpu_ratio) == (16.0, pytest.approx(10 / 16))
