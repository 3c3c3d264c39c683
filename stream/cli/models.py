"""`liveness models`: the model files in use, with their versions and hashes."""

from __future__ import annotations

from dataclasses import asdict

from config import settings as configuration
from stream.bootstrap import model_versions
from stream.cli.console import JsonOption, out, print_json


def command(json: JsonOption = False) -> None:
    """Show which model files decisions are made with; refuse a configured one that isn't the pinned file."""
    found = model_versions(configuration.load())
    if json:
        print_json({"models": [asdict(model) for model in found]})
        return
    for model in found:
        out.print(f"{model.name}  {model.version}  sha256 {model.sha256}")
