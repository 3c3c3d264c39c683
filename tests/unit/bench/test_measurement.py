from __future__ import annotations

from typing import Any

import pytest

from stream.bench.accounting import ProcessorTimes
from stream.bench.floor import FloorRound
from stream.bench.load import LoadRun
from stream.bench.measurement import PathRound, paired_ratio, path_round, percentile, result_of
from stream.bench.report import Latency, SizeResult

LATENCY = Latency(rate_per_s=50.0, sent=100, undecided=3, p50=20.0, p99=40.0)


def load_run(moments: tuple[float, ...] = (), **changed: Any) -> LoadRun:
    fields: dict[str, Any] = {
        "sent": len(moments),
        "new_tenants": 0,
        "undecided": 0,
        "moments": moments,
        "latencies_s": [0.1] * len(moments),
        "errors": {},
        "elapsed_ms": {"decode": 30.0, "mesh": 60.0, "signals": 10.0, "total": 900.0},
    }
    return LoadRun(**fields | changed)


def result(*rounds: tuple[FloorRound, PathRound], latencies: dict[str, Latency]) -> SizeResult:
    floors, paths = [floor for floor, _ in rounds], [path for _, path in rounds]
    return result_of("720x960", "hot", picture_bytes=1, floors=floors, paths=paths, latencies=latencies, peak_mib={})


def pair(
    floor_s: float = 100, floor_ms: float = 10, path_s: float = 60, worker: float = 3, slot: float = 10, **run: Any
) -> tuple[FloorRound, PathRound]:
    cpu_ms = {"worker": worker, "fork_server": 0.0, "slot": slot, "broker": 2.0}
    return FloorRound(per_s=floor_s, cpu_ms=floor_ms), PathRound(per_s=path_s, cpu_ms=cpu_ms, run=load_run(**run))


@pytest.mark.parametrize(
    ("moments", "per_s", "cpu_ms"),
    [((9.0, 10.5, 11.0, 11.5, 12.0, 12.5), 2.0, {"worker": 50.0, "slot": 250.0, "broker": 25.0}), ((), 0.0, None)],
)
def test_only_what_was_decided_in_the_window_counts(
    moments: tuple[float, ...], per_s: float, cpu_ms: dict[str, float] | None
) -> None:
    before = ProcessorTimes(moment=10.0, cpu_s={"worker": 1.0, "slot": 5.0})
    after = ProcessorTimes(moment=12.0, cpu_s={"worker": 1.2, "slot": 6.0, "broker": 0.1})
    found = path_round(before, after, load_run(moments))
    assert found.per_s == per_s
    assert cpu_ms is None or found.cpu_ms == pytest.approx(cpu_ms)


def test_result_draws_rounds_together() -> None:
    rounds = (pair(100, 10, 60, 3, 10), pair(80, 12, 48, 4, 12), pair(120, 9, 72, 2, 10))
    found = result(*rounds, latencies={})
    assert (found.floor_per_s, found.path_per_s, found.ratio) == (100.0, 60.0, pytest.approx(0.6))
    assert (found.floor_cpu_ms, found.path_cpu_ms) == (10.0, 13.0)
    assert found.cpu_ratio == pytest.approx(12 / 16)  # of 10/13, 12/16 and 9/12, the median
    assert (found.undecided, found.errors) == (0, {})


def test_stages_share_what_the_slots_used() -> None:
    found = result(pair(), latencies={})
    used = {"decode": 3.0, "mesh": 6.0, "signals": 1.0, "worker": 3.0}
    unused = dict.fromkeys(("gate", "framing", "networks", "template", "hashes", "measures", "fork_server"), 0.0)
    assert found.cpu_ms == used | unused
    assert sum(found.cpu_ms.values()) == pytest.approx(found.path_cpu_ms)
    assert found.other_cpu_ms == {"broker": 2.0}


def test_failures_are_counted_over_all_runs() -> None:
    first = pair(undecided=1, errors={"NO_FACE_DETECTED": 2})
    second = pair(errors={"NO_FACE_DETECTED": 1, "DETECTOR_TIMEOUT": 1})
    found = result(first, second, latencies={"50": LATENCY})
    assert (found.undecided, found.errors) == (4, {"NO_FACE_DETECTED": 3, "DETECTOR_TIMEOUT": 1})


HUNDRED = [float(n) for n in range(1, 101)]


@pytest.mark.parametrize(
    ("values", "per_cent", "expected"),
    [
        ([], 50, None),
        ([7.0], 0, 7.0),
        ([7.0], 99, 7.0),
        *(([4.0, 1.0, 3.0, 2.0], *case) for case in ((50, 2.0), (51, 3.0), (100, 4.0))),
        (HUNDRED, 99, 99.0),
        ([*HUNDRED, 101.0], 99, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], per_cent: float, expected: float | None) -> None:
    assert percentile(values, per_cent) == expected


@pytest.mark.parametrize(
    ("above", "floor"),
    [
        pytest.param([80.0, 40.0, 8.0], [100.0, 50.0, 10.0], id="the machine slows down"),
        pytest.param([80.0, 8.0, 81.0], [100.0, 100.0, 100.0], id="one disturbed pair"),
    ],
)
def test_drift_does_not_move_the_ratio(above: list[float], floor: list[float]) -> None:
    assert paired_ratio(above, floor) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="zip"):  # rounds without a partner are a bug
        paired_ratio(above, floor[:-1])
