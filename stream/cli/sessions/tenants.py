"""`liveness sessions defaults`: a tenant's defaults, set by a command that leaves an audit entry."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

import typer

from config import settings as configuration
from stream.bootstrap.authentication import believed_by
from stream.cli.abuse import view
from stream.cli.abuse.options import ReasonOption, TenantOption, TimeoutOption
from stream.cli.console import ExitCode, JsonOption, complain, fail, out, print_json
from stream.cli.sessions.options import (
    ActorOption,
    AttemptsOption,
    ChallengeOption,
    LifetimeOption,
)
from stream.events.message.session_terms import LivenessMode
from stream.review.command_client import NoAnswer, ask
from stream.review.kinds.switch_rules import SwitchRules


def defaults(
    actor: ActorOption,
    reason: ReasonOption,
    mode: Annotated[LivenessMode | None, typer.Option()] = None,
    threshold: Annotated[int | None, typer.Option(min=0, max=100)] = None,
    challenge: ChallengeOption = None,
    attempts: AttemptsOption = None,
    lifetime: LifetimeOption = None,
    required: Annotated[bool | None, typer.Option(help="No submission without a session token.")] = None,
    require_head_turn: Annotated[
        bool | None, typer.Option(help="No session with challenges without a head turn.")
    ] = None,
    tenant: TenantOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Change what a tenant's sessions have unless they ask otherwise, at once and in all workers."""
    fields = {
        "liveness_mode": mode,
        "liveness_threshold": threshold,
        "liveness_challenges": challenge or None,
        "attempts": attempts,
        "token_lifetime_s": lifetime,
        "required": required,
        "require_head_turn": require_head_turn,
    }
    wanted = {name: value for name, value in fields.items() if value is not None}
    if not wanted:
        raise typer.BadParameter("say what to change")
    command = {"command": SwitchRules.name, "command_id": str(uuid.uuid4()), "actor": actor, "reason": reason}
    settings, asked = configuration.load(), {**command, "tenant": tenant, "sessions": wanted}
    try:
        answer = asyncio.run(ask(settings, asked, f"tenant {tenant or ''}", timeout, believed_by(settings)))
    except NoAnswer as error:
        fail(str(error))
    print_json(answer) if json else _show_changes(answer)
    if answer["error"] is not None:
        raise typer.Exit(ExitCode.FAILURE)


def _show_changes(answer: dict[str, Any]) -> None:
    if answer["error"] is not None:
        complain(f"{answer['error']['code']}: {answer['error']['message']}")
        return
    for line in view.changes(answer["changed"], view.of_tenant(answer)):
        out.print(line)
