"""`liveness abuse confirm`, `override`, `reset`, `switch` and `erase`: reviews, sent as commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.text import Text

from config import settings as configuration
from config.limits.abuse import RULE_NAMES
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.cli.abuse.options import ActorOption, CommandIdOption, NoteOption, ReasonOption, TenantOption, TimeoutOption
from stream.cli.abuse.target import Named, SubjectArgument, TargetArgument, named
from stream.cli.console import ExitCode, JsonOption, out, plain, print_json, say
from stream.cli.sending import answered, command_of, show_outcome
from stream.events.message.ids import canonical_guid, is_guid
from stream.review.command_client import ask
from stream.review.kinds.base import Command
from stream.review.kinds.flags import ConfirmFlags, OverrideFlags, ResetCorrelation
from stream.review.kinds.subjects import EraseSubject
from stream.review.kinds.switch_rules import SwitchRules


def _review(kind: type[Command], help_: str) -> Callable[..., None]:
    """Subcommand that sends a review of flags."""

    def command(
        target: TargetArgument,
        actor: ActorOption,
        reason: ReasonOption,
        note: NoteOption = "",
        tenant: TenantOption = None,
        command_id: CommandIdOption = None,
        timeout: TimeoutOption = 15.0,
        json: JsonOption = False,
    ) -> None:
        settings = configuration.load()
        what = named(target, tenant, settings)
        sent = command_of(kind, actor, reason, tenant, command_id, note=note, **what.fields)
        _decide(sent, asyncio.run(_key(settings, what)), timeout, json)

    command.__doc__ = help_
    return command


confirm = _review(
    ConfirmFlags,
    """Confirm a flag, or every open flag of a subject: it is refused from now on, until the flag expires.

    Everybody behind a confirmed address is refused.
    """,
)
override = _review(
    OverrideFlags,
    """Override a flag, or every open flag of a subject: it refuses nobody, and what was seen so far no longer counts.

    For a correlation id a new one is issued as well; the old one may go on too.
    """,
)


def reset(
    correlation_id: Annotated[str, typer.Argument(help="The correlation id to begin anew.")],
    actor: ActorOption,
    reason: ReasonOption,
    note: NoteOption = "",
    tenant: TenantOption = None,
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Issue a new correlation id; flags on the old one are overridden and its past no longer counts."""
    if not is_guid(correlation_id):
        raise typer.BadParameter("expected a 128-bit GUID", param_hint="CORRELATION_ID")
    key = canonical_guid(correlation_id)
    sent = command_of(ResetCorrelation, actor, reason, tenant, command_id, note=note, correlation_id=key)
    _decide(sent, key, timeout, json)


def erase(
    target: SubjectArgument,
    actor: ActorOption,
    reason: ReasonOption,
    note: NoteOption = "",
    tenant: TenantOption = None,
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 60.0,
    json: JsonOption = False,
) -> None:
    """Erase a subject from Redis: what it did, its flags, links, faces, pictures and decisions. Prints the receipt.

    Flags go too, and with them what they refuse. Topics forget by themselves: the receipt says when.
    """
    what = named(target, tenant, configuration.load())
    if what.subject is None:
        raise typer.BadParameter("expected a subject: a flag is erased with whose it is", param_hint="TARGET")
    sent = command_of(EraseSubject, actor, reason, tenant, command_id, note=note, **what.fields)
    answer = _decide(sent, what.subject.key, timeout, json)
    if not any(answer["changed"]["erased"].values()):
        say("nothing was there: is it written as it was sent, and does it need --tenant?")


def switch(
    rule: Annotated[str, typer.Argument(help=f"One of {', '.join(RULE_NAMES)}.")],
    actor: ActorOption,
    reason: ReasonOption,
    active: Annotated[bool | None, typer.Option(help="Whether the rule looks at all.")] = None,
    enforced: Annotated[bool | None, typer.Option(help="Whether what it finds refuses anybody.")] = None,
    note: NoteOption = "",
    tenant: TenantOption = None,
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Switch a rule on, off, into or out of shadow for a tenant, at once and in all workers."""
    if rule not in RULE_NAMES:
        raise typer.BadParameter(f"expected one of {', '.join(RULE_NAMES)}", param_hint="RULE")
    wanted = {name: on for name, on in (("active", active), ("enforced", enforced)) if on is not None}
    if not wanted:
        raise typer.BadParameter("say what to switch: --active, --no-active, --enforced or --no-enforced")
    sent = command_of(SwitchRules, actor, reason, tenant, command_id, note=note, rules={rule: wanted})
    _decide(sent, f"tenant {tenant or ''}", timeout, json)


async def _key(settings: Settings, what: Named) -> str:
    """Record key of a command: the target's subject, so that commands about one subject are carried out in order."""
    if what.subject is not None:
        return what.subject.key
    flag_id = what.flag_id or ""
    async with table(settings) as opened:
        locator = await opened.queries.locate(flag_id)
    return flag_id if locator is None else locator.subject.key


def _decide(command: dict[str, Any], key: str, timeout_s: float, json: bool) -> dict[str, Any]:
    """Audit entry of a command, printed. Exit 1 when the command was refused or no worker answered."""
    answer = answered(ask, command, key, timeout_s)
    if json:
        print_json(answer)
    else:
        show_outcome(answer)
        if answer["error"] is None:
            out.print(Text(plain(f"audit entry {answer['number']} of chain {answer['chain']}"), style="dim"))
    if answer["outcome"] != "applied":
        raise typer.Exit(ExitCode.FAILURE)
    return answer
