"""`liveness health`: ask the worker on this machine, or in this container, how it is."""

from __future__ import annotations

from typing import Annotated

import typer

from config import settings as configuration
from config.errors import SettingsError
from stream.cli.console import ExitCode, JsonOption, out, print_json
from stream.health_probe import TIMEOUT_S, ask


def command(
    ready: Annotated[bool, typer.Option("--ready", help="Also require partitions and every dependency.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Ask the worker at LIVENESS_HTTP__HOST and __PORT. Exit 0 if it is live (or ready), else 1.

    Live: it makes progress, or says what it waits for. Exit 2 when the settings switch the page off.
    """
    http = configuration.load().http
    if not http.port:
        raise SettingsError("http.port is 0, so the worker has no health page: set LIVENESS_HTTP__PORT")
    health = ask(http.host, http.port, "ready" if ready else "live", timeout)
    if json:
        print_json({"ok": health.ok, "page": health.page, "fault": health.fault, "worker": health.state})
    else:
        out.print(health.words(), markup=False)
    if not health.ok:
        raise typer.Exit(ExitCode.FAILURE)
