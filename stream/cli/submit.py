"""`liveness submit`: publish pictures as submissions and wait for their decisions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from config import settings as configuration
from config.settings import Settings
from stream.cli.client_capture import ClientCapture, client_capture
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json, print_line, say
from stream.cli.decision_view import show
from stream.cli.pictures import pictures
from stream.encryption.capture_claims import CaptureChannel
from stream.encryption.jwe import encrypt
from stream.encryption.key_files import KeyRefused, SelfieKey, read_key
from stream.events.ids import is_guid
from stream.events.submissions import Form, NewSubmission, submission_output
from stream.events.topics import Topic, topic_name
from stream.kafka.clients import producer, reader, send

DEFAULT_TIMEOUT_S = 30.0


def command(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Pictures, or folders of pictures.")],
    form: Annotated[Form, typer.Option(help="How to wrap the picture.")] = Form.BINARY,
    correlation_id: Annotated[str | None, typer.Option(help="The person's GUID; a new one each by default.")] = None,
    submission_id: Annotated[str | None, typer.Option(help="For one picture; a new one by default.")] = None,
    tenant: Annotated[str | None, typer.Option()] = None,
    session_id: Annotated[str | None, typer.Option()] = None,
    client_ip: Annotated[str | None, typer.Option(help="The address the selfie came from.")] = None,
    expected_client_ip: Annotated[
        str | None, typer.Option(help="The address or network it should have come from.")
    ] = None,
    device_id: Annotated[str | None, typer.Option()] = None,
    encrypt_to: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Encrypt to this public key (JWK or PEM).")
    ] = None,
    session_token: Annotated[str | None, typer.Option(help="Token of the session that the picture is for.")] = None,
    capture_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Private key of the client: attest the capture.")
    ] = None,
    channel: Annotated[CaptureChannel, typer.Option(help="Kind of program, for --capture-key.")] = (
        CaptureChannel.DESKTOP
    ),
    camera: Annotated[str, typer.Option(help="Name of the camera, for --capture-key.")] = "liveness submit",
    wait: Annotated[bool, typer.Option(help="Wait for the decisions.")] = True,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for each next decision.")
    ] = DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Publish pictures and show each decision as it arrives. Exit 1 if one got none in time."""
    files = pictures(paths)
    if expected_client_ip and not client_ip:
        raise typer.BadParameter("needs --client-ip", param_hint="--expected-client-ip")
    if correlation_id is not None and not is_guid(correlation_id):
        raise typer.BadParameter("expected a 128-bit GUID", param_hint="--correlation-id")
    if submission_id is not None and len(files) > 1:
        raise typer.BadParameter("goes with one picture", param_hint="--submission-id")
    given = {"correlation_id": correlation_id, "submission_id": submission_id}
    named = {name: value for name, value in given.items() if value is not None}
    origin = {"client_ip": client_ip, "expected_client_ip": expected_client_ip, "device_id": device_id}
    optional = {name: value for name, value in {"tenant": tenant, "session_id": session_id, **origin}.items() if value}
    to = None if encrypt_to is None else _public_key(encrypt_to)
    capture = client_capture(session_token, capture_key, channel, camera)
    try:
        new = [(file, _new(file, to, optional, named, capture)) for file in files]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--session-token") from None
    settings = configuration.load()
    if asyncio.run(_submit(settings, new, form, wait, timeout, json)):
        raise typer.Exit(ExitCode.FAILURE)


def _public_key(path: Path) -> SelfieKey:
    try:
        return read_key(path.read_bytes(), path.stem, private=False)
    except KeyRefused as error:
        raise typer.BadParameter(f"{path} {error}", param_hint="--encrypt-to") from None


def _new(
    file: Path, to: SelfieKey | None, optional: dict[str, str], named: dict[str, str], capture: ClientCapture | None
) -> NewSubmission:
    image = file.read_bytes()
    optional = optional if capture is None else {**optional, **capture.fields(image)}
    image = image if to is None else encrypt(image, to)
    return NewSubmission(image=image, encrypted=to is not None, optional=optional, **named)


async def _submit(
    settings: Settings, new: list[tuple[Path, NewSubmission]], form: Form, wait: bool, timeout_s: float, json: bool
) -> int:
    """Submissions published and their decisions shown; returns the number left without a decision."""
    topic = topic_name(Topic.SUBMISSIONS, settings.kafka)
    decisions = topic_name(Topic.DECISIONS, settings.kafka)
    if not wait:  # which needs no right to read decisions
        async with producer(settings.kafka) as client:
            for file, submission in new:
                await send(client, submission_output(submission, topic, form))
                _sent(file, submission, json)
        return 0
    async with reader(settings.kafka, decisions, from_start=False) as answers, producer(settings.kafka) as client:
        for _, submission in new:
            await send(client, submission_output(submission, topic, form))
        waiting = {submission.submission_id: file for file, submission in new}
        try:
            records = answers.records()
            while waiting:
                record = await asyncio.wait_for(anext(records), timeout_s)
                _answered(record.value or b"", waiting, json, settings.policy().inconclusive_band)
        except TimeoutError:
            complain(f"no decision within {timeout_s:g} s for: {', '.join(str(file) for file in waiting.values())}")
            say("Is a worker running? Start one with: liveness worker")
        return len(waiting)


def _answered(value: bytes, waiting: dict[str, Path], json: bool, band: float) -> None:
    try:
        event: dict[str, Any] = orjson.loads(value)
        file = waiting.pop(event["submission_id"], None)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return  # somebody else's record
    if file is None:
        return
    if json:
        print_line(value)
    else:
        show(out, file.name, event, band)


def _sent(file: Path, submission: NewSubmission, json: bool) -> None:
    ids = {"submission_id": submission.submission_id, "correlation_id": submission.correlation_id}
    if json:
        print_json({"file": plain(str(file)), **ids})
    else:
        out.print(plain(f"{file.name}: submitted as {submission.submission_id}"), markup=False)
