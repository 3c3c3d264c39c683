"""`liveness sessions`: create and cancel sessions as an app server does, and look at them."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from config import settings as configuration
from config.challenges import CHALLENGES
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.cli.abuse.options import TenantOption, TimeoutOption, checked
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json, print_line, say
from stream.events.ids import SHORT_TEXT, SUBMISSION_ID, canonical_guid, is_guid
from stream.events.session_terms import MOST_ATTEMPTS, LivenessMode
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import reader
from stream.review.command_client import NoAnswer, ask_session
from stream.review.kinds.sessions import SESSION_ID, CancelSession, CreateSession
from stream.sessions.session_request import LONGEST_TOKEN_S, SHORTEST_TOKEN_S

app = typer.Typer(help="Create sessions and look at them.", no_args_is_help=True)

_NO_SPACES = "printable ASCII characters, no spaces"
SessionArgument = Annotated[
    str,
    typer.Argument(help="The session's id.", callback=checked(SESSION_ID, "ls_ and 32 hexadecimal digits")),
]
ActorOption = Annotated[str, typer.Option(help="Who asks.", callback=checked(SHORT_TEXT, _NO_SPACES))]
CommandIdOption = Annotated[
    str | None,
    typer.Option(
        help="To send the same command again; a new one by default.", callback=checked(SUBMISSION_ID, _NO_SPACES)
    ),
]
#: A code for the audit trail.
_REASON = "command_line"
_STYLE = {"succeeded": "green", "failed": "red", "expired": "dim", "cancelled": "dim", "running": "cyan"}


def _correlation_id(text: str | None) -> str | None:
    if text is not None and not is_guid(text):
        raise typer.BadParameter("expected a 128-bit GUID")
    return None if text is None else canonical_guid(text)


CorrelationOption = Annotated[
    str | None, typer.Option(help="The person's GUID.", callback=_correlation_id, show_default="a new one")
]


@app.command("create")
def create(
    correlation_id: CorrelationOption = None,
    mode: Annotated[LivenessMode | None, typer.Option(help="The tenant's default unless given.")] = None,
    threshold: Annotated[int | None, typer.Option(min=0, max=100, help="Least score that passes.")] = None,
    challenge: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(CHALLENGES)}; may be repeated. All by default.")
    ] = None,
    light: Annotated[bool, typer.Option("--light", help="Also show colours on the screen.")] = False,
    attempts: Annotated[int | None, typer.Option(min=1, max=MOST_ATTEMPTS)] = None,
    lifetime: Annotated[
        int | None, typer.Option(min=SHORTEST_TOKEN_S, max=LONGEST_TOKEN_S, help="Seconds that the token lives.")
    ] = None,
    expected_client_ip: Annotated[str | None, typer.Option(help="Address or network of the client.")] = None,
    device_id: Annotated[str | None, typer.Option()] = None,
    capture_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The client's public key (JWK).")
    ] = None,
    attested: Annotated[bool, typer.Option("--attested", help="The client must attest its capture.")] = False,
    reference: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The one reference image that is taken.")
    ] = None,
    session_image: Annotated[
        bool, typer.Option("--session-image", help="Publish the best picture, encrypted to the tenant's key.")
    ] = False,
    request_token: Annotated[
        str | None, typer.Option(help="The same token gives the same session; a new one by default.")
    ] = None,
    tenant: TenantOption = None,
    actor: ActorOption = "liveness-cli",
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Create a session: prints its id and its token, which is for the client alone. Exit 1 if it is refused."""
    person = correlation_id or str(uuid.uuid4())
    fields = {
        "client_request_token": request_token or str(uuid.uuid4()),
        "correlation_id": person,
        "liveness_mode": mode,
        "liveness_threshold": threshold,
        "liveness_challenges": challenge or None,
        "light_challenge": light,
        "attempts": attempts,
        "token_lifetime_s": lifetime,
        "expected_client_ip": expected_client_ip,
        "device_id": device_id,
        "capture_key": None if capture_key is None else _jwk(capture_key),
        "attestation_required": attested,
        "deliver_session_image": session_image,
        "reference_sha256": None if reference is None else hashlib.sha256(reference.read_bytes()).hexdigest(),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    event = _asked(CreateSession.name, given, person, actor, tenant, command_id, timeout, json)
    if not json:
        out.print(_line(event))
        _say_risk(event)
        out.print(plain(event["token"]), markup=False, soft_wrap=True)


@app.command("cancel")
def cancel(
    session_id: SessionArgument,
    tenant: TenantOption = None,
    actor: ActorOption = "liveness-cli",
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Cancel a session: its token is good for nothing any more. Exit 1 if it has ended or is unknown."""
    event = _asked(CancelSession.name, {"session_id": session_id}, session_id, actor, tenant, command_id, timeout, json)
    if not json:
        out.print(_line(event))


@app.command("show")
def show(session_id: SessionArgument, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Show a session as it is now. Exit 1 if none is known of this id."""
    found = asyncio.run(_show(configuration.load(), tenant, session_id))
    if found is None:
        complain("no session is known of this id (with --tenant, if it belongs to one)")
        raise typer.Exit(ExitCode.FAILURE)
    print_json(found) if json else out.print(_line(found))


@app.command("list")
def list_(
    tenant: TenantOption = None,
    correlation_id: CorrelationOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show so many at most.")] = 100,
    json: JsonOption = False,
) -> None:
    """Show the sessions of a tenant (or those that name none), or of one correlation id, newest first."""
    found = asyncio.run(_list(configuration.load(), tenant, correlation_id, limit))
    for session in found:
        print_json(session) if json else out.print(_line(session))
    if not found and not json:
        say("No sessions.")


@app.command("watch")
def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event kept.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on waiting for new ones.")] = True,
    json: JsonOption = False,
) -> None:
    """Show changes of sessions as they are published, without tokens. Ctrl-C ends it."""
    asyncio.run(_watch(configuration.load(), from_start, follow, json))


def _asked(
    name: str,
    fields: dict[str, Any],
    key: str,
    actor: str,
    tenant: str | None,
    command_id: str | None,
    timeout_s: float,
    json: bool,
) -> dict[str, Any]:
    """Answer to a command. Ends the command if it was refused or not answered."""
    command = {"command": name, "command_id": command_id or str(uuid.uuid4()), "actor": actor, "reason": _REASON}
    try:
        event = asyncio.run(ask_session(configuration.load(), {**command, "tenant": tenant, **fields}, key, timeout_s))
    except NoAnswer as error:
        complain(f"{error} Sent as --command-id {command['command_id']}")
        raise typer.Exit(ExitCode.FAILURE) from None
    if json:
        print_json(event)
    if "error" in event:
        if not json:
            complain(f"{event['error']['code']}: {event['error']['message']}")
            _say_risk(event)
        raise typer.Exit(ExitCode.FAILURE)
    return event


def _jwk(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise typer.BadParameter(f"{path} is no JWK", param_hint="--capture-key") from None


async def _show(settings: Settings, tenant: str | None, session_id: str) -> dict[str, Any] | None:
    async with table(settings) as opened:
        return await opened.session_queries.session(tenant, session_id)


async def _list(settings: Settings, tenant: str | None, correlation_id: str | None, limit: int) -> list[dict[str, Any]]:
    async with table(settings) as opened:
        return list((await opened.session_queries.sessions(tenant, correlation_id, limit=limit)).sessions)


async def _watch(settings: Settings, from_start: bool, follow: bool, json: bool) -> None:
    async with reader(settings.kafka, topic_name(Topic.SESSIONS, settings.kafka), from_start=from_start) as source:
        async for record in source.records() if follow else source.until_end():
            try:
                event = {**orjson.loads(record.value or b"")}
                event.pop("token", None)
                line = _line(event) if "state" in event else _refused(event)
            except (ValueError, KeyError, TypeError, AttributeError):
                say(f"partition {record.partition}, offset {record.offset}: no session event")
                continue
            print_line(orjson.dumps(event)) if json else out.print(line)


def _line(session: dict[str, Any]) -> Text:
    """Session on one line."""
    attempts, state = session["attempts"], plain(session["state"])
    result = session["result"]
    score = "" if result is None else f"  score {result['liveness_score']:g} of {result['liveness_threshold']:d}"
    return Text.assemble(
        (plain(session["session_id"]), "bold"),
        "  ",
        (f"{state:<9}", _STYLE.get(state, "")),
        f"  {plain(session['liveness_mode']):<14}  attempts {attempts['used']:d}/{attempts['allowed']:d}{score}"
        f"  {plain(session['correlation_id'])}",
        f"  tenant {plain(session['tenant'])}" if session["tenant"] else "",
        (f"  expires {plain(session['expires_at'])}", "dim"),
    )


def _refused(refusal: dict[str, Any]) -> Text:
    error = refusal["error"]
    words = f"{refusal['at']}  {refusal['command']} {refusal['command_id']} refused: {error['code']}"
    return Text(plain(words), style="yellow")


def _say_risk(event: dict[str, Any]) -> None:
    if event["retry_count"]:
        say(f"{event['retry_count']} submissions of this correlation id within the last hour")
    for flag in event["open_flags"]:
        say(plain(f"open flag: {flag['kind']} ({flag['severity']}) since {flag['since']}"))
