"""`liveness models`: the model files in use, made or fetched at set-up, and what they measure."""

from __future__ import annotations

import typer

from stream.cli.console import JsonOption
from stream.cli.models import calibrate, fetch, listing, prepare

app = typer.Typer(no_args_is_help=False, help="Model files: list, prepare, fetch, calibrate.")
app.command("list")(listing.command)
app.command("prepare")(prepare.command)
app.command("fetch")(fetch.command)
app.command("calibrate")(calibrate.command)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, json: JsonOption = False) -> None:
    """Model files: list (without a subcommand too), prepare, fetch, calibrate."""
    if context.invoked_subcommand is None:
        listing.command(json)
