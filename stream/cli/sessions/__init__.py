"""`liveness sessions`: create and cancel sessions as an app server does, set a tenant's defaults, look at sessions."""

from __future__ import annotations

import typer

from stream.cli.sessions import asking, looking, tenants

app = typer.Typer(help="Create sessions and look at them.", no_args_is_help=True)
app.command("create")(asking.create)
app.command("cancel")(asking.cancel)
app.command("defaults")(tenants.defaults)
app.command("show")(looking.show)
app.command("list")(looking.list_)
app.command("watch")(looking.watch)
