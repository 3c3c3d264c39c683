"""`liveness abuse confirm`, `override`, `reset` and `switch`: a person's decision, sent as a command."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Annotated, Any

import typer
from rich.text import Text

from config import settings as configuration
from config.abuse import RULE_NAMES
from config.settings import Settings
from stream.cli.abuse.table import PATIENCE_S, table
from stream.cli.abuse.target import Named, TargetArgument, TenantOption, named
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json
from stream.command_client import NoAnswer, ask
from stream.commands import COMMAND_ID, CommandName
from stream.intake import canonical_guid, is_guid

ActorOption = Annotated[str, typer.Option(help="Who decides, for example a user name.")]
ReasonOption = Annotated[str, typer.Option(help="Why, as a code: lower-case letters, digits and underscores.")]
NoteOption = Annotated[str, typer.Option(help="Why, in words. No personal data: it stays in the audit trail.")]
CommandIdOption = Annotated[str | None, typer.Option(help="To send the same command again; a new one by default.")]
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")]


def confirm(
    target: TargetArgument,
    actor: ActorOption,
    reason: ReasonOption,
    note: NoteOption = "",
    tenant: TenantOption = None,
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Confirm a flag, or every open flag of a subject: it is refused from now on, until the flag expires.

    Everybody behind a confirmed address is refused.
    """
    settings = configuration.load()
    what = named(target, tenant, settings)
    command = _command(CommandName.CONFIRM, actor, reason, note, tenant, command_id, **what.fields)
    _decide(command, asyncio.run(_key(settings, what)), timeout, json)


def override(
    target: TargetArgument,
    actor: ActorOption,
    reason: ReasonOption,
    note: NoteOption = "",
    tenant: TenantOption = None,
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Override a flag, or every open flag of a subject: it refuses nobody, and what was seen so far no longer counts.

    For a correlation id a new one is issued as well; the old one may go on too.
    """
    settings = configuration.load()
    what = named(target, tenant, settings)
    command = _command(CommandName.OVERRIDE, actor, reason, note, tenant, command_id, **what.fields)
    _decide(command, asyncio.run(_key(settings, what)), timeout, json)


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
    _decide(
        _command(CommandName.RESET, actor, reason, note, tenant, command_id, correlation_id=key), key, timeout, json
    )


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
    command = _command(CommandName.SETTINGS, actor, reason, note, tenant, command_id, rules={rule: wanted})
    _decide(command, f"tenant {tenant or ''}", timeout, json)


def _command(
    name: CommandName, actor: str, reason: str, note: str, tenant: str | None, command_id: str | None, **what: Any
) -> dict[str, Any]:
    if command_id is not None and not re.fullmatch(COMMAND_ID, command_id):
        raise typer.BadParameter("expected 1 to 128 printable ASCII characters, no spaces", param_hint="--command-id")
    return {
        "command": name,
        "command_id": command_id or str(uuid.uuid4()),
        "actor": actor,
        "reason": reason,
        "note": note,
        "tenant": tenant,
        **what,
    }


async def _key(settings: Settings, what: Named) -> str:
    """The subject, also of a flag, so that commands about the same subject are carried out in order."""
    if what.subject is not None:
        return what.subject.key
    flag_id = what.flag_id or ""
    async with table(settings) as opened:
        locator = await opened.patience.insist(lambda: opened.ledger.locate(flag_id), at_most_s=PATIENCE_S)
    return flag_id if locator is None else locator.subject.key


def _decide(command: dict[str, Any], key: str, timeout_s: float, json: bool) -> None:
    """Exit 1 when the command was refused or nobody answered."""
    try:
        answer = asyncio.run(ask(configuration.load(), command, key, timeout_s))
    except NoAnswer as error:
        complain(f"{error} Sent as --command-id {command['command_id']}")
        raise typer.Exit(ExitCode.FAILURE) from None
    if json:
        print_json(answer)
    else:
        _show(answer)
    if answer["outcome"] != "applied":
        raise typer.Exit(ExitCode.FAILURE)


def _show(answer: dict[str, Any]) -> None:
    error, changed = answer["error"], answer["changed"]
    if error is not None:
        complain(f"{error['code']}: {error['message']}")
        return
    for flag in changed.get("flags", ()):
        subject = flag["subject"]
        words = f"{flag['flag_id']}  {flag['from']} -> {flag['to']}  {flag['kind']}  {subject['type']}:{subject['key']}"
        out.print(Text(plain(words)))
    for flag_id in changed.get("still_open", ()):
        out.print(Text(f"still open on the same subject: {plain(flag_id)}", style="yellow"))
    if "new_correlation_id" in changed:
        out.print(Text(f"new correlation id: {plain(changed['new_correlation_id'])}", style="bold"))
    if "after" in changed:
        out.print(Text(f"switched: {plain(str(changed['after']))}"))
    out.print(Text(plain(f"audit entry {answer['number']} of chain {answer['chain']}"), style="dim"))
