"""`liveness bench --abuse`: the abuse table at growing numbers of people."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from config import settings as configuration
from config.errors import SettingsError, Unavailable
from stream.bench.abuse_table import TablePlan, TableResult, measure
from stream.cli.console import out, print_json, say
from stream.cli.sizes import sizes
from stream.runtime.patience import DependencyTimeout


def run(ids: str, seconds: float, rounds: int, json: bool) -> None:
    """Raises BadParameter for sizes that are none, OutOfPatience when Redis is away."""
    settings = configuration.load()
    if settings.redis.cluster:
        raise SettingsError("redis.cluster: the benchmark of the table measures one server")
    plan = TablePlan(sizes=sizes(ids, "--ids"), rounds=rounds, seconds=seconds)
    try:
        results = measure(settings, plan, say)
    except Unavailable as error:
        raise DependencyTimeout(f"Redis did not answer ({error.fault})") from None
    if json:
        print_json({"seconds": seconds, "rounds": rounds, "results": [asdict(result) for result in results]})
    else:
        out.print(_table(results))


def _table(results: list[TableResult]) -> Table:
    table = Table(
        *("ids", "observations/s", "bare/s", "cost in bare round trips", "p50", "p99", "own CPU", "bytes an id"),
        box=None,
    )
    for result in results:
        table.add_row(
            f"{result.ids:,}",
            f"{result.observed_per_s:.0f}",
            f"{result.floor_per_s:.0f}",
            f"{result.cost:.2f}",
            f"{result.p50_ms:.1f} ms",
            f"{result.p99_ms:.1f} ms",
            f"{result.cpu_ms:.2f} ms",
            f"{result.bytes_per_id}",
        )
    return table
