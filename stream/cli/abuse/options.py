"""Options shared by the `liveness abuse` commands, checked here by the patterns that workers check commands by."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from stream.events.message.ids import TENANT
from stream.review.kinds.base import ACTOR, COMMAND_ID, NOTE, REASON


def _option(help_: str, pattern: str, expected: str) -> Any:
    return typer.Option(help=f"{help_} ({expected})", callback=checked(pattern, expected))


def checked(pattern: str, expected: str) -> Callable[[str | None], str | None]:
    """Callback of an option that refuses a value without quoting it; typer adds the option's name."""

    def check(text: str | None) -> str | None:
        # Bytes that are no UTF-8 come as surrogates, which no JSON can hold.
        if text is not None and (not re.fullmatch(pattern, text) or re.search("[\ud800-\udfff]", text)):
            raise typer.BadParameter(f"expected {expected}")
        return text

    return check


TENANT_EXPECTED = "1 to 64 letters, digits, dots, _ and -"
_NO_SPACES = "printable ASCII characters, no spaces"

TenantOption = Annotated[
    str | None, _option("The tenant it belongs to; without, what names no tenant.", TENANT, TENANT_EXPECTED)
]
ActorOption = Annotated[str, _option("Who decides, for example a user name.", ACTOR, f"1 to 256 {_NO_SPACES}")]
ReasonOption = Annotated[str, _option("Why, as a code.", REASON, "1 to 64 lower-case letters, digits and underscores")]
NoteOption = Annotated[
    str,
    _option(
        "Why, in words. No personal data: it stays in the audit trail.", NOTE, "one line of at most 1000 characters"
    ),
]
CommandIdOption = Annotated[
    str | None, _option("To send the same command again; a new one by default.", COMMAND_ID, f"1 to 128 {_NO_SPACES}")
]
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")]
