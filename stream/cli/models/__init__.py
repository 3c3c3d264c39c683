"""`liveness models`: the model files in use, the one that is made at set-up, and how well it tells people apart."""

from __future__ import annotations

import typer

from stream.cli.console import JsonOption
from stream.cli.models import calibrate, listing, prepare

app = typer.Typer(no_args_is_help=False, help="Model files: list, prepare, calibrate.")
app.command("list")(listing.command)
app.command("prepare")(prepare.command)
app.command("calibrate")(calibrate.command)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, json: JsonOption = False) -> None:
    """Model files: list (without a subcommand too), prepare, calibrate."""
    if context.invoked_subcommand is None:
        listing.command(json)
