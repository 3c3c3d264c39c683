"""`liveness abuse`: look at the abuse table, and decide on what it flags.

Looking reads the table; a review is sent as a command, so that every review leaves an audit entry.
"""

from __future__ import annotations

import typer

from stream.cli.abuse import audit, deciding, looking, rebuilding, rekeying, retention, rules

app = typer.Typer(help="Look at abuse flags and decide on them.", no_args_is_help=True)
app.command("list")(looking.list_)
app.command("show")(looking.show)
app.command("watch")(looking.watch)
app.command("rules")(rules.command)
app.command("confirm")(deciding.confirm)
app.command("override")(deciding.override)
app.command("reset")(deciding.reset)
app.command("switch")(deciding.switch)
app.command("audit")(audit.command)
app.command("rebuild")(rebuilding.command)
app.command("erase")(deciding.erase)
app.command("rekey")(rekeying.command)
app.command("retention")(retention.command)
