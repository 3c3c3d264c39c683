from __future__ import annotations

import pytest

from stream.bench.accounting import Snapshot
from stream.bench.floor import FloorRound
from stream.bench.load import LoadRun
from stream.bench.measurement import PathRound, path_round, result_of
from stream.bench.report import Latency


def load_run(moments: tuple[float, ...] = (), **changed: object) -> LoadRun:
    fields = {
        "sent": len(moments),
        "undecided": 0,
        "moments": moments,
        "latencies_s": [0.1] * len(moments),
        "errors": {},
        "elapsed_ms": {"decode": 30.0, "mesh": 60.0, "signals": 10.0, "total": 900.0},
    }
    return LoadRun(**fields | changed)  # type: ignore[arg-type]


def path(per_s: float, worker: float, slot: float, **changed: object) -> PathRound:
    cpu_ms = {"worker": worker, "fork_server": 0.0, "slot": slot, "broker": 2.0}
    return PathRound(per_s=per_s, cpu_ms=cpu_ms, run=load_run(**changed))  # type: ignore[arg-type]


LATENCY = Latency(rate_per_s=50.0, sent=100, undecided=0, p50=20.0, p99=40.0)


def test_only_what_was_decided_in_the_window_counts() -> None:
    before = Snapshot(moment=10.0, cpu_s={"worker": 1.0, "slot": 5.0})
    after = Snapshot(moment=12.0, cpu_s={"worker": 1.2, "slot": 6.0, "broker": 0.1})
    found = path_round(before, after, load_run((9.0, 10.5, 11.0, 11.5, 12.0, 12.5)))
    assert found.per_s == 2.0
    assert found.cpu_ms == pytest.approx({"worker": 50.0, "slot": 250.0, "broker": 25.0})


def test_a_window_without_a_decision_is_no_division_by_zero() -> None:
    before, after = Snapshot(moment=0.0, cpu_s={"worker": 0.0}), Snapshot(moment=1.0, cpu_s={"worker": 0.5})
    assert path_round(before, after, load_run()).per_s == 0.0


def test_a_result_draws_rounds_together() -> None:
    floors = [FloorRound(per_s=rate, cpu_ms=cpu) for rate, cpu in ((100.0, 10.0), (80.0, 12.0), (120.0, 9.0))]
    paths = [path(60.0, 3.0, 10.0), path(48.0, 4.0, 12.0), path(72.0, 2.0, 10.0)]
    result = result_of(
        "720x960",
        picture_bytes=250_000,
        floors=floors,
        paths=paths,
        latencies={"50": LATENCY, "90": LATENCY},
        peak_mib={"worker": 130.0},
    )
    assert (result.floor_per_s, result.path_per_s) == (100.0, 60.0)
    assert result.ratio == pytest.approx(0.6)
    assert (result.floor_cpu_ms, result.path_cpu_ms) == (10.0, 13.0)
    assert result.cpu_ratio == pytest.approx(12 / 16)  # of 10/13, 12/16 and 9/12, the median
    assert result.undecided == 0
    assert result.errors == {}


def test_the_stages_of_the_slots_share_what_the_slots_used() -> None:
    result = result_of(
        "720x960",
        picture_bytes=1,
        floors=[FloorRound(per_s=100.0, cpu_ms=10.0)],
        paths=[path(60.0, 3.0, 10.0)],
        latencies={},
        peak_mib={},
    )
    assert result.cpu_ms == {
        "gate": 0.0,
        "decode": 3.0,
        "mesh": 6.0,
        "framing": 0.0,
        "template": 0.0,
        "hashes": 0.0,
        "signals": 1.0,
        "worker": 3.0,
        "fork_server": 0.0,
    }
    assert sum(result.cpu_ms.values()) == pytest.approx(result.path_cpu_ms)
    assert result.other_cpu_ms == {"broker": 2.0}


def test_what_was_not_decided_or_refused_is_counted_over_all_runs() -> None:
    late = Latency(rate_per_s=50.0, sent=100, undecided=3, p50=20.0, p99=40.0)
    result = result_of(
        "720x960",
        picture_bytes=1,
        floors=[FloorRound(per_s=100.0, cpu_ms=10.0)] * 2,
        paths=[
            path(60.0, 3.0, 10.0, undecided=1, errors={"NO_FACE_DETECTED": 2}),
            path(60.0, 3.0, 10.0, errors={"NO_FACE_DETECTED": 1, "DETECTOR_TIMEOUT": 1}),
        ],
        latencies={"50": late},
        peak_mib={},
    )
    assert result.undecided == 4
    assert result.errors == {"NO_FACE_DETECTED": 3, "DETECTOR_TIMEOUT": 1}
