"""The indexes of faces and of pictures as they grow, and how well the template tells people apart.

    .venv/bin/python -m tests.bench.reuse_indexes [--kept 10000,100000] [--photographs FOLDER] [--json]

With photographs labelled as for `liveness models calibrate`, also the template's error rates at the distance up to
which faces are linked when so many are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from abuse.event_time import HOUR_MS
from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import face_plan
from config.settings import Settings
from detectors.template.calibration import Calibration, RateRow
from stream.cli.console import out, print_json, say
from stream.cli.models.calibrate import LeftOut, counted, measured_on, rate_in_words
from tests.bench import face_index, media_index
from tests.bench.face_index import FaceBenchPlan
from tests.bench.growth import Row, as_table, one_server, sizes, wide
from tests.bench.media_index import MediaBenchPlan

#: Pictures kept when meeting one is timed, and how many of each are met.
PICTURES = 100_000
MET_FACES, MET_PICTURES = 200, 500
#: A search, and a call to Redis, may take so long: what is slow is to be measured, not cut short.
SEARCH_S, CALL_S = 60.0, 20.0


FACE_COLUMNS = {
    "faces": "{faces:,}",
    "keys": "{places}",
    "add": "{add_p50_ms:.1f} / {add_p99_ms:.1f}",
    "search": "{meet_p50_ms:.1f} / {meet_p99_ms:.1f}",
    "{} at once": "{busy_p50_ms:.1f} / {busy_p99_ms:.1f}",
    "a second": "{busy_per_s:.0f}",
    "own CPU": "{cpu_ms:.1f}",
    "recall": "{recall:.3f}",
    "bytes each": "{bytes_per_face}",
}
PICTURE_COLUMNS = {
    "pictures": "{pictures:,}",
    "search": "{meet_p50_ms:.1f} / {meet_p99_ms:.1f}",
    "commands": "{commands:.0f}",
    "lines read": "{lines:.0f}",
    "own CPU": "{cpu_ms:.1f}",
    "found": "{found:.3f}",
    "bytes each": "{bytes_per_picture}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Error rates of the template; `bounds` at the distance up to which faces are linked when so many are kept."""

    measured: Calibration
    left_out: LeftOut
    bounds: tuple[tuple[int, RateRow], ...]


def main(
    kept: Annotated[str, typer.Option(help="Faces in the index.")] = "10000,100000,300000",
    photographs: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measure the indexes of faces and pictures on the configured Redis."""
    settings, counts = one_server(), sizes(kept, "--kept")
    told = None if photographs is None else _told(photographs, settings, counts)
    layout = face_plan(settings, settings.policy(), {})  # keys of Redis as workers lay them out
    plan = FaceBenchPlan(sizes=counts, met=MET_FACES, index=replace(layout, deadline_s=SEARCH_S))
    patient = settings.model_copy(update={"redis": settings.redis.model_copy(update={"call_timeout_s": CALL_S})})
    faces = face_index.measure(patient, plan, say)
    pictures = media_index.measure(patient, MediaBenchPlan(sizes=[PICTURES], met=MET_PICTURES), say)
    if json:
        print_json(_document(plan, faces, pictures, told))
    else:
        _show(plan, faces, pictures, told)


def _told(photographs: Path, settings: Settings, counts: Sequence[int]) -> Told:
    measured, left_out = measured_on(photographs, settings)
    model, false_links = measured.model, settings.policy().abuse.face_reuse.false_links
    if model.impostors is None or model.genuine_threshold is None:
        return Told(measured=measured, left_out=left_out, bounds=())
    bounds = FaceBounds(impostors=model.impostors, farthest=model.genuine_threshold)
    rates = tuple((count, measured.rate(bounds.of(count, false_links).distance)) for count in (1, *counts))
    return Told(measured=measured, left_out=left_out, bounds=rates)


def _document(plan: FaceBenchPlan, faces: Sequence[Row], pictures: Sequence[Row], told: Told | None) -> dict[str, Any]:
    return {
        "span_h": plan.index.span_ms // HOUR_MS,
        "parts": plan.index.parts,
        "faces": faces,
        "pictures": pictures,
        "template": None if told is None else _template(told),
    }


def _template(told: Told) -> dict[str, Any]:
    measured = told.measured
    return {
        "model": {"name": measured.model.name, "version": measured.model.version, "sha256": measured.model.sha256},
        "people": measured.people,
        "pictures": measured.pictures,
        "left_out": counted(told.left_out),
        "genuine_pairs": len(measured.genuine),
        "impostor_pairs": len(measured.impostor),
        "bounds": [{"faces": count, **_rates(rate)} for count, rate in told.bounds],
        "rates": [_rates(row) for row in measured.rates()],
    }


def _rates(row: RateRow) -> dict[str, float]:
    return {
        "distance": round(row.threshold, 4),
        **{name: getattr(row, name) for name in ("fmr", "fnmr", "expected_fmr")},
    }


def _show(plan: FaceBenchPlan, faces: Sequence[Row], pictures: Sequence[Row], told: Told | None) -> None:
    hours, parts = plan.index.span_ms // HOUR_MS, plan.index.parts
    out.print("times in milliseconds: median / 99th percentile\n")
    out.print(f"faces, {hours} h a key, in {parts} part{'s' * (parts != 1)}", markup=False)
    wide.print(as_table(faces, {name.format(plan.at_once): form for name, form in FACE_COLUMNS.items()}))
    out.print("\npictures")
    wide.print(as_table(pictures, PICTURE_COLUMNS))
    if told is not None:
        out.print()
        _show_template(told)


def _show_template(told: Told) -> None:
    measured = told.measured
    out.print(f"{measured.pictures} pictures of {measured.people} people", markup=False)
    for reason, count in counted(told.left_out).items():
        out.print(f"  {count} left out: {reason}", markup=False)
    table = Table("faces kept", "linked up to", "FMR", "FNMR", "FMR by the fit", box=None)
    for count, rate in told.bounds:
        table.add_row(f"{count:,}", *_cells(rate))
    for row in measured.rates():
        table.add_row("", *_cells(row))
    out.print(table)


def _cells(row: RateRow) -> tuple[str, ...]:
    return (f"{row.threshold:.3f}", f"{row.fmr:.4f}", f"{row.fnmr:.4f}", rate_in_words(row.expected_fmr))


if __name__ == "__main__":
    typer.run(main)
