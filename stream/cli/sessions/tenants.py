"""`liveness sessions defaults`: a tenant's defaults, set by a command that leaves an audit entry."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.abuse.options import ReasonOption, TenantOption, TimeoutOption
from stream.cli.console import ExitCode, JsonOption, print_json
from stream.cli.sending import answered, command_of, show_outcome
from stream.cli.sessions.options import ActorOption, AttemptsOption, ChallengeOption, LifetimeOption
from stream.events.message.session_terms import LivenessMode
from stream.review.command_client import ask
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
    command = command_of(SwitchRules, actor, reason, tenant, sessions=wanted)
    answer = answered(ask, command, f"tenant {tenant or ''}", timeout, repeatable=False)
    print_json(answer) if json else show_outcome(answer)
    if answer["error"] is not None:
        raise typer.Exit(ExitCode.FAILURE)
