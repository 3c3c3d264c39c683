"""`liveness models`: the model files in use, with their versions and hashes."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from config import settings as configuration
from config.settings import SettingsError
from detectors import models
from stream.cli.console import JsonOption, out, print_json


def command(json: JsonOption = False) -> None:
    """Show which model files decisions are made with; refuse a configured one that isn't the pinned file."""
    bundle = configuration.load().detection.face_landmarker_bundle
    try:
        found = models.solutions_models() if bundle is None else (models.face_landmarker_model(bundle.read_bytes()),)
    except (OSError, ValueError) as error:
        raise SettingsError(f"detection.face_landmarker_bundle: {error}") from None
    if json:
        print_json({"models": [asdict(model) for model in found]})
        return
    table = Table("model", "version", "sha256", box=None)
    for model in found:
        table.add_row(model.name, model.version, model.sha256)
    out.print(table)
