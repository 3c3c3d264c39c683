"""`liveness sessions create` and `cancel`: commands of an app server, and their answers."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.cli.abuse.options import TenantOption, TimeoutOption
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json
from stream.cli.sending import answered, command_of
from stream.cli.sessions.options import (
    ActorOption,
    AttemptsOption,
    ChallengeOption,
    CommandIdOption,
    CorrelationOption,
    LifetimeOption,
    SessionArgument,
)
from stream.cli.sessions.view import line, say_asked, say_risk
from stream.encryption.capture_statement import read_capture_key
from stream.encryption.key_files import KeyRefused
from stream.events.message.session_terms import LivenessMode
from stream.review.command_client import ask_session
from stream.review.kinds.sessions import CancelSession, CreateSession

#: A code for the audit trail.
_REASON = "command_line"


def create(
    correlation_id: CorrelationOption = None,
    mode: Annotated[LivenessMode | None, typer.Option(help="The tenant's default unless given.")] = None,
    threshold: Annotated[int | None, typer.Option(min=0, max=100, help="Least score that passes.")] = None,
    challenge: ChallengeOption = None,
    light: Annotated[bool, typer.Option("--light", help="Also show colours on the screen.")] = False,
    attempts: AttemptsOption = None,
    lifetime: LifetimeOption = None,
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
    event = _asked(command_of(CreateSession, actor, _REASON, tenant, command_id, **given), person, timeout, json)
    if not json:
        out.print(line(event))
        say_asked(event)
        say_risk(event)
        out.print(plain(event["token"]), markup=False, soft_wrap=True)


def cancel(
    session_id: SessionArgument,
    tenant: TenantOption = None,
    actor: ActorOption = "liveness-cli",
    command_id: CommandIdOption = None,
    timeout: TimeoutOption = 15.0,
    json: JsonOption = False,
) -> None:
    """Cancel a session: its token is good for nothing any more. Exit 1 if it has ended or is unknown."""
    command = command_of(CancelSession, actor, _REASON, tenant, command_id, session_id=session_id)
    event = _asked(command, session_id, timeout, json)
    if not json:
        out.print(line(event))


def _asked(command: dict[str, Any], key: str, timeout_s: float, json: bool) -> dict[str, Any]:
    """Answer to a command. Ends the command if it was refused or not answered."""
    event = answered(ask_session, command, key, timeout_s)
    if json:
        print_json(event)
    if "error" in event:
        if not json:
            complain(f"{event['error']['code']}: {event['error']['message']}")
            say_risk(event)
        raise typer.Exit(ExitCode.FAILURE)
    return event


def _jwk(path: Path) -> dict[str, str]:
    """Public members of the client's key. Ends the command for a private key, which belongs to the client alone, and
    for what is no key."""
    try:
        key = read_capture_key(path.read_bytes())
    except KeyRefused as error:
        raise typer.BadParameter(f"{path} {error}", param_hint="--capture-key") from None
    if key.is_private:
        words = "is a private key, which only the client may have: name its public key"
        raise typer.BadParameter(f"{path} {words}", param_hint="--capture-key")
    return key.public
