"""Options shared by the `liveness sessions` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from config.catalogues.challenges import CHALLENGES
from stream.cli.abuse.options import checked
from stream.events.message.ids import SHORT_TEXT, SUBMISSION_ID, canonical_guid, is_guid
from stream.events.message.session_terms import MOST_ATTEMPTS
from stream.review.kinds.sessions import SESSION_ID
from stream.sessions.session_request import LONGEST_TOKEN_S, SHORTEST_TOKEN_S

_NO_SPACES = "printable ASCII characters, no spaces"


def _correlation_id(text: str | None) -> str | None:
    if text is not None and not is_guid(text):
        raise typer.BadParameter("expected a 128-bit GUID")
    return None if text is None else canonical_guid(text)


def _challenges(names: list[str] | None) -> list[str] | None:
    if len(set(names or ())) < len(names or ()) or not set(names or ()) <= set(CHALLENGES):
        raise typer.BadParameter(f"expected {', '.join(CHALLENGES)}, each at most once")
    return names


SessionArgument = Annotated[
    str,
    typer.Argument(help="The session's id.", callback=checked(SESSION_ID, "ls_ and 32 hexadecimal digits")),
]
CorrelationOption = Annotated[str | None, typer.Option(help="The person's GUID.", callback=_correlation_id)]
ActorOption = Annotated[str, typer.Option(help="Who asks or decides.", callback=checked(SHORT_TEXT, _NO_SPACES))]
CommandIdOption = Annotated[
    str | None,
    typer.Option(
        help="To send the same command again; a new one by default.", callback=checked(SUBMISSION_ID, _NO_SPACES)
    ),
]
ChallengeOption = Annotated[
    list[str] | None,
    typer.Option(help=f"One of {', '.join(CHALLENGES)}; may be repeated. All by default.", callback=_challenges),
]
AttemptsOption = Annotated[
    int | None, typer.Option(min=1, max=MOST_ATTEMPTS, help="Submissions that a token is good for.")
]
LifetimeOption = Annotated[
    int | None, typer.Option(min=SHORTEST_TOKEN_S, max=LONGEST_TOKEN_S, help="Seconds that a token lives.")
]
