"""Commands of reviewers and app servers, as the command line sends them and shows their answers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.authentication import believed_by
from stream.cli.abuse import view
from stream.cli.console import complain, fail, out
from stream.review.command_client import Believed, NoAnswer
from stream.review.kinds.base import Command

#: `ask` or `ask_session` of `stream.review.command_client`.
Ask = Callable[[Settings, dict[str, Any], str, float, Believed], Awaitable[dict[str, Any]]]


def command_of(
    kind: type[Command], actor: str, reason: str, tenant: str | None, command_id: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Command to send, under a new id unless one is given."""
    common = {"command": kind.name, "command_id": command_id or str(uuid.uuid4()), "actor": actor, "reason": reason}
    return {**common, "tenant": tenant, **fields}


def answered(
    ask: Ask, command: dict[str, Any], key: str, timeout_s: float, *, repeatable: bool = True
) -> dict[str, Any]:
    """Answer to a command. Fails where none comes, with the id by which a `repeatable` one is sent again."""

    async def asked() -> dict[str, Any]:
        settings = configuration.load()
        return await ask(settings, command, key, timeout_s, believed_by(settings))

    try:
        return asyncio.run(asked())
    except NoAnswer as error:
        fail(f"{error} Sent as --command-id {command['command_id']}" if repeatable else str(error))


def show_outcome(answer: dict[str, Any]) -> None:
    """Changes of a command, or the error that refuses it, from its audit entry."""
    if answer["error"] is not None:
        complain(f"{answer['error']['code']}: {answer['error']['message']}")
        return
    for line in view.changes(answer["changed"], view.of_tenant(answer)):
        out.print(line)
