"""`liveness models list`: every model file with version, hash, licence and place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from config import settings as configuration
from detectors.models import ModelFile
from detectors.template import TemplateSource, open_template
from stream.bootstrap.models import model_files, template_source
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json


def command(json: JsonOption = False) -> None:
    """Show which model files decisions are made with. Exit 1 if one is missing or isn't the pinned file."""
    settings = configuration.load()
    policy = settings.policy()
    files = model_files(settings, policy)
    if json:
        print_json({"models": [_document(file) for file in files]})
    else:
        for file in files:
            model = file.model
            out.print(f"{model.name}  {model.version}  {file.licence}", markup=False)
            out.print(f"  sha256 {model.sha256}", markup=False)
            out.print(f"  {plain(str(file.path))}", markup=False)
    troubles = [file.trouble for file in files if file.trouble] or _when_opened(template_source(settings, policy))
    for trouble in troubles:
        complain(trouble)
    if troubles:
        raise typer.Exit(ExitCode.FAILURE)


def _when_opened(source: TemplateSource | None) -> list[str]:
    """Troubles found only by opening a template model of the user's own: outputs other than its manifest says."""
    if source is None or source.manifest is None:
        return []
    try:
        open_template(source)
    except ValueError as error:
        return [f"{source.manifest.name}: {error}"]
    return []


def _document(file: ModelFile) -> dict[str, Any]:
    about = {"licence": file.licence, "path": str(file.path), "ready": not file.trouble}
    return {**asdict(file.model), **about}
