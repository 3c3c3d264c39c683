"""Report of a benchmark, as JSON and as tables."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from detectors.pool.settings import available_cores

#: Words of the tables for what new tenants cost, and for the ratio without.
OF_NEW, KNOWN = "  of it new tenants", "known tenants"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Latency from when a submission was due until its decision was read, milliseconds. `undecided` submissions have
    none and make the percentiles too good: a run with any has failed."""

    rate_per_s: float
    sent: int
    undecided: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeResult:
    """Result of one size. Rates are medians of the rounds, ratios medians of each pair of rounds.

    `floor_cpu_ms` and `path_cpu_ms` are processor milliseconds a submission: of the floor processes, and of
    the worker with all its children. `cpu_ms` splits the latter; the steps inside a slot share what the slots
    used in proportion to their own clocks. `other_cpu_ms` is of broker, store and load generator on the same machine.
    `new_tenants` is the share of submissions of tenants that the worker had not met, `new_tenant_cpu_ms` what it takes
    to meet one, and `known_cpu_ratio` the `cpu_ratio` without.
    """

    size: str
    mix: str
    picture_bytes: int
    floor_per_s: float
    path_per_s: float
    ratio: float
    floor_cpu_ms: float
    path_cpu_ms: float
    cpu_ratio: float
    new_tenants: float
    new_tenant_cpu_ms: float
    known_cpu_ratio: float
    cpu_ms: Mapping[str, float]
    other_cpu_ms: Mapping[str, float]
    latency_ms: Mapping[str, Latency]
    peak_mib: Mapping[str, float]
    errors: Mapping[str, int]
    undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    broker: str
    slots: int
    rounds: int
    seconds: float
    pictures: str
    results: Sequence[SizeResult]
    cores: int = field(default_factory=available_cores)
    processor: str = field(default_factory=lambda: _processor())

    @property
    def failed(self) -> bool:
        """Failure: a submission without decision, or a measured picture that could not be analysed."""
        return any(result.undecided or result.errors for result in self.results)


def document(report: Report) -> dict[str, Any]:
    """Report as plain values, rounded to what the measurement is good for."""
    rounded: dict[str, Any] = _rounded(asdict(report))
    return rounded


def table(report: Report) -> Group:
    """Report as tables for people: rates by size, processor time by stage, latency, memory."""
    stages = [{**r.cpu_ms, OF_NEW: r.new_tenants * r.new_tenant_cpu_ms, **r.other_cpu_ms} for r in report.results]
    costs = _by_name(report, "processor ms a selfie, by stage", stages, 2)
    memory = _by_name(report, "peak memory, MiB", [r.peak_mib for r in report.results], 0)
    return Group(_rates(report), "", costs, "", _latencies(report), "", memory)


def _rates(report: Report) -> Table:
    made = Table("size", "mix", "floor/s", "path/s", "ratio", "floor CPU", "path CPU", "CPU ratio", KNOWN, box=None)
    made.title, made.title_justify = "selfies a second, processor ms a selfie", "left"
    for r in report.results:
        rates = f"{r.floor_per_s:.1f}", f"{r.path_per_s:.1f}", f"{r.ratio:.2f}"
        ratios = f"{r.cpu_ratio:.2f}", f"{r.known_cpu_ratio:.2f}"
        made.add_row(r.size, r.mix, *rates, f"{r.floor_cpu_ms:.1f}", f"{r.path_cpu_ms:.1f}", *ratios)
    return made


def _by_name(report: Report, title: str, columns: Sequence[Mapping[str, float]], digits: int) -> Table:
    names = dict.fromkeys(name for column in columns for name in column)
    made = Table("", *(f"{r.size} {r.mix}" for r in report.results), box=None, title=title, title_justify="left")
    for name in names:
        made.add_row(name, *(f"{column[name]:.{digits}f}" if name in column else "" for column in columns))
    return made


def _latencies(report: Report) -> Table:
    made = Table("size", "mix", "load", "sent/s", "p50", "p99", box=None, title="latency, ms", title_justify="left")
    for result in report.results:
        for load, latency in result.latency_ms.items():
            made.add_row(
                result.size, result.mix, f"{load} %", f"{latency.rate_per_s:.1f}", _ms(latency.p50), _ms(latency.p99)
            )
    return made


def _ms(value: float | None) -> str:
    return "none decided" if value is None else f"{value:.0f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _processor() -> str:
    """Name of the processor, where the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
