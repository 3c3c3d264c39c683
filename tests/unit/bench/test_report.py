from __future__ import annotations

import dataclasses
import io
import json

import orjson
import pytest
from rich.console import Console

from stream.bench.report import Latency, Report, SizeResult, document, table

RATES = {"floor_per_s": 100.0, "path_per_s": 61.23456, "ratio": 0.6123456}
COSTS = {"floor_cpu_ms": 10.0, "path_cpu_ms": 13.0, "cpu_ratio": 0.7692307, "known_cpu_ratio": 0.91}
NEW = {"new_tenants": 0.97, "new_tenant_cpu_ms": 2.0}
RESULT = SizeResult(
    size="720x960",
    mix="ordinary",
    picture_bytes=250_000,
    **RATES,
    **COSTS,
    **NEW,
    cpu_ms={"decode": 3.0, "mesh": 6.0, "worker": 3.0},
    other_cpu_ms={"broker": 2.0},
    latency_ms={
        "50": Latency(rate_per_s=30.6, sent=100, undecided=0, p50=20.0, p99=40.0),
        "90": Latency(rate_per_s=55.1, sent=0, undecided=0, p50=None, p99=None),
    },
    peak_mib={"worker": 130.0, "slot_1": 175.0},
    errors={},
    undecided=0,
)


def report(**changed: object) -> Report:
    result = dataclasses.replace(RESULT, **changed)  # type: ignore[arg-type]
    counts = {"slots": 2, "rounds": 3, "seconds": 6.0, "cores": 2}
    return Report(broker="configured", pictures="portrait", results=[result], processor="", **counts)  # type: ignore[arg-type]


def test_the_json_has_the_promised_names() -> None:
    found = json.loads(orjson.dumps(document(report())))
    assert found["broker"] == "configured"
    (result,) = found["results"]
    assert {"size", "mix", *RATES, *COSTS, *NEW, "cpu_ms", "latency_ms", "peak_mib"} <= result.keys()
    assert result["ratio"] == 0.612
    assert result["latency_ms"]["50"]["p99"] == 40.0
    assert result["latency_ms"]["90"]["p50"] is None


def test_the_table_shows_every_stage_load_and_process() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(table(report()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "720x960",
        "ordinary",
        "61.2",
        "0.77",
        "0.91",
        "1.94",
        "decode",
        "broker",
        "50 %",
        "none decided",
        "slot_1",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("changed", "failed"), [({}, False), ({"undecided": 1}, True), ({"errors": {"SERVER_ERROR": 1}}, True)]
)
def test_figures_count_only_if_every_submission_was_analysed(changed: dict[str, object], failed: bool) -> None:
    assert report(**changed).failed is failed
