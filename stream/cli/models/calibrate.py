"""`liveness models calibrate`: measure the face template model on labelled photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from config import settings as configuration
from config.errors import SettingsError
from config.settings import Settings
from detectors.template import TemplateModelUnusable, TemplateSource
from detectors.template.calibration import (
    ONE_FALSE_MATCH_IN,
    Calibration,
    Labelled,
    as_toml,
    calibrate,
    calibration_table,
    labelled_pictures,
    unlabelled_pictures,
)
from stream.bootstrap.models import template_source
from stream.cli.console import JsonOption, fail, out, plain, print_json, say

TOML_HELP = (
    "Also write the fit and its provenance to this file: of the built-in model a whole manifest "
    "(LIVENESS_DETECTION__TEMPLATE_MANIFEST), of another what to append to its manifest."
)
#: Labels of pictures: names of files or folders.
LABELS = "person_X_N.jpg, or a sub-folder for each person"


def command(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="person_X_N.* files, or a sub-folder a person.")
    ],
    toml: Annotated[Path | None, typer.Option(help=TOML_HELP)] = None,
    source: Annotated[str, typer.Option(help="With --toml: what to call these pictures there.")] = "own pictures",
    json: JsonOption = False,
) -> None:
    """Distances of one person's templates and of strangers', error rates by threshold, a fit of the strangers'."""
    measured, left_out = measured_on(folder, configuration.load())
    if toml is not None:
        toml.write_text(as_toml(measured, _quotable(source)), encoding="utf-8")
        say(plain(f"written to {toml}"))
    print_json(_document(measured, left_out)) if json else _show(measured, left_out)


#: Names of pictures by the reason why they have no template.
LeftOut = Mapping[str, Sequence[str]]
#: Below this a rate by the fit is rounding.
LEAST_RATE = 1e-15


def measured_on(folder: Path, settings: Settings) -> tuple[Calibration, LeftOut]:
    """Calibration of the template model on labelled pictures, and names of pictures left out by reason. Raises
    BadParameter, SettingsError or Exit."""
    unlabelled = unlabelled_pictures(folder)
    if unlabelled:
        say(plain(f"{len(unlabelled)} pictures without a label are ignored: {unlabelled[0].name} ({LABELS})"))
    pictures = labelled_pictures(folder)
    if not pictures:
        raise typer.BadParameter(f"no labelled pictures there ({LABELS})")
    place = template_source(settings, settings.policy())
    if place is None:
        raise SettingsError("the policy's template.active is off")
    try:
        return _measure(folder, pictures, settings, place)
    except TemplateModelUnusable as error:
        raise SettingsError(str(error)) from None
    except ValueError as error:
        fail(str(error))


def _measure(
    folder: Path, pictures: list[tuple[str, Path]], settings: Settings, place: TemplateSource
) -> tuple[Calibration, LeftOut]:
    """Calibration by the worker's analysis, quality gate included."""
    import numpy as np

    from detectors.analysis import FaceAnalyser
    from detectors.native_output import native_stderr_silenced

    templates: list[Labelled] = []
    left_out: dict[str, list[str]] = {}
    with native_stderr_silenced():
        analyser = FaceAnalyser(settings.policy(), settings.detection.face_landmarker_bundle, place)
        assert analyser.template is not None
        for person, path in pictures:
            analysis, name = analyser.analyse(path.read_bytes()), str(path.relative_to(folder))
            if analysis.template is None:
                left_out.setdefault(str(analysis.error or analysis.template_reason), []).append(name)
            else:
                templates.append(Labelled(person, np.frombuffer(analysis.template.vector, "<f4"), name))
        analyser.close()
    return calibrate(analyser.template.spec, templates), left_out


def _quotable(text: str) -> str:
    """Text made safe between the quotation marks of a TOML string."""
    return plain(text).replace("\\", "/").replace('"', "'")


def counted(left_out: LeftOut) -> dict[str, int]:
    return {reason: len(names) for reason, names in sorted(left_out.items())}


def rate_in_words(rate: float) -> str:
    return f"{rate:.2e}" if rate >= LEAST_RATE else f"< {LEAST_RATE:.0e}"


def _document(measured: Calibration, left_out: LeftOut) -> dict[str, Any]:
    model = measured.model
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256, "distance": model.distance},
        "people": measured.people,
        "pictures": measured.pictures,
        "left_out": counted(left_out),
        "left_out_files": left_out,
        "genuine_pairs": len(measured.genuine),
        "impostor_pairs": len(measured.impostor),
        "genuine": [round(each, 4) for each in measured.genuine],
        "impostor": [round(each, 4) for each in measured.impostor],
        "worst_genuine": measured.worst_genuine,
        "nearest_impostor": measured.nearest_impostor,
        "rates": [
            {"threshold": round(r.threshold, 4), "fmr": r.fmr, "fnmr": r.fnmr, "expected_fmr": r.expected_fmr}
            for r in measured.rates()
        ],
        "impostors": {"kind": "chi2", "dof": measured.impostors.dof, "scale": measured.impostors.scale},
        "proposed_threshold": measured.proposed_threshold,
    }


def _show(measured: Calibration, left_out: LeftOut) -> None:
    model, genuine, impostor = measured.model, measured.genuine, measured.impostor
    out.print(f"{model.name} {model.version}, {model.distance} distance, sha256 {model.sha256}", markup=False)
    out.print(f"{measured.pictures} pictures of {measured.people} people", markup=False)
    for reason, names in sorted(left_out.items()):
        out.print(f"  {len(names)} left out: {reason} ({plain(', '.join(names))})", markup=False)
    out.print(f"genuine   {len(genuine)} pairs, {genuine[0]:.3f} to {genuine[-1]:.3f}")
    out.print(f"  farthest apart: {_pair(measured.worst_genuine)}", markup=False)
    out.print(f"impostor  {len(impostor)} pairs, {impostor[0]:.3f} to {impostor[-1]:.3f}")
    out.print(f"  nearest: {_pair(measured.nearest_impostor)}\n", markup=False)
    table = Table("distance", "FMR", "FNMR", "FMR by the fit", box=None)
    for row in measured.rates():
        table.add_row(f"{row.threshold:.3f}", f"{row.fmr:.4f}", f"{row.fnmr:.4f}", rate_in_words(row.expected_fmr))
    out.print(table)
    fit = measured.impostors
    out.print(f"\nfit: d^2 / (2 s^2) is chi-square with {fit.dof:.1f} degrees of freedom, s = {fit.scale:.5f}")
    proposed = f"{measured.proposed_threshold:.3f}"
    out.print(f"proposed threshold {proposed} (one false match in {ONE_FALSE_MATCH_IN} by the fit)")
    out.print("The fit extrapolates: with few people, small rates are a guess.")
    out.print("\nFor a manifest (--toml writes it to a file):", markup=False)
    out.print(calibration_table(measured), markup=False)


def _pair(names: tuple[str, str]) -> str:
    return plain(" and ".join(names))
