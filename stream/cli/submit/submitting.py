"""`liveness submit`: publish pictures as submissions and wait for their decisions."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import orjson
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from config import settings as configuration
from config.settings import Settings
from stream.bootstrap.authentication import believed_by
from stream.cli.console import ExitCode, JsonOption, complain, out, plain, print_json, print_line, say
from stream.cli.decision_view import NOT_SHOWN, show
from stream.cli.pictures import pictures
from stream.cli.submit.capture_file import frames_of
from stream.cli.submit.client_capture import ClientCapture, client_capture, ids_in
from stream.encryption.capture_claims import CaptureChannel
from stream.encryption.jwe import encrypt
from stream.encryption.key_files import KeyRefused, SelfieKey, read_key
from stream.events.message.ids import is_guid
from stream.events.message.messages import Output
from stream.events.topics import Topic, topic_name
from stream.events.wire.submissions import Form, NewSubmission, capture_outputs, submission_output
from stream.kafka.clients.backlog import look
from stream.kafka.clients.clients import KafkaUnreachable, TopicMissing, producer, reader, send
from stream.kafka.clients.security import KafkaRefuses
from stream.runtime.clock import SystemClock

DEFAULT_TIMEOUT_S = 30.0
#: Longest look at what workers have read.
LOOK_S = 10.0
DOUBTED = "{} decisions carry no right MAC: are LIVENESS_RECORDS__KEYS here those of the workers?"
#: Errors of a look. A submitter need not have the right to look.
NO_LOOK = (KafkaError, KafkaRefuses, KafkaUnreachable, TopicMissing, TimeoutError)


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(exists=True, help="Pictures, or folders of pictures.", show_default=False)
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Frames of an active check, as a capture file (JSON) lists them."
        ),
    ] = None,
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
    session_token: Annotated[
        str | None, typer.Option(help="Token of the session that the picture is for; names person, session and tenant.")
    ] = None,
    capture_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Private key of the client: attest the capture.")
    ] = None,
    channel: Annotated[CaptureChannel, typer.Option(help="Kind of program, for --capture-key.")] = (
        CaptureChannel.DESKTOP
    ),
    camera: Annotated[str, typer.Option(help="Name of the camera, for --capture-key.")] = "liveness submit",
    reference: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Picture of the person expected; not with --form binary."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the decisions.")] = True,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for each next decision.")
    ] = DEFAULT_TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Publish pictures and show each decision as it arrives. Exit 1 if one got none in time."""
    if bool(paths) == (frames is not None):
        raise typer.BadParameter("give pictures, or --frames", param_hint="PATHS")
    if expected_client_ip and not client_ip:
        raise typer.BadParameter("needs --client-ip", param_hint="--expected-client-ip")
    if correlation_id is not None and not is_guid(correlation_id):
        raise typer.BadParameter("expected a 128-bit GUID", param_hint="--correlation-id")
    files = pictures(paths) if paths else []
    if submission_id is not None and len(files) > 1:
        raise typer.BadParameter("goes with one picture", param_hint="--submission-id")
    if reference is not None and (form is Form.BINARY or session_token is None):
        raise typer.BadParameter("needs --session-token, and JSON such as --form bare", param_hint="--reference")
    named: _Ids = {}
    if session_token is not None:
        told = ids_in(session_token)
        correlation_id = correlation_id or told.get("sub")
        session_id, tenant = session_id or told.get("sid"), tenant or told.get("tenant")
    if correlation_id is not None:
        named["correlation_id"] = correlation_id
    if submission_id is not None:
        named["submission_id"] = submission_id
    origin = {"client_ip": client_ip, "expected_client_ip": expected_client_ip, "device_id": device_id}
    optional = {name: value for name, value in {"tenant": tenant, "session_id": session_id, **origin}.items() if value}
    if reference is not None:
        optional["reference_image"] = base64.b64encode(reference.read_bytes()).decode()
    to = None if encrypt_to is None else _public_key(encrypt_to)
    capture = client_capture(session_token, capture_key, channel, camera)
    settings = configuration.load()
    topic = topic_name(Topic.SUBMISSIONS, settings.kafka)
    try:
        if frames is not None:
            sent = [_capture_of(frames, topic, form, optional, named, capture)]
        else:
            sent = [_picture_of(file, topic, form, to, optional, named, capture) for file in files]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--session-token" if frames is None else "--frames") from None
    if asyncio.run(_submit(settings, sent, wait, timeout, json)):
        raise typer.Exit(ExitCode.FAILURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """Submission about to be sent: where it comes from, and its records."""

    file: Path
    new: NewSubmission
    outputs: Sequence[Output]


def _public_key(path: Path) -> SelfieKey:
    try:
        return read_key(path.read_bytes(), path.stem, private=False)
    except KeyRefused as error:
        raise typer.BadParameter(f"{path} {error}", param_hint="--encrypt-to") from None


class _Ids(TypedDict, total=False):
    """Ids that the options name; the others are made up."""

    submission_id: str
    correlation_id: str


def _picture_of(
    file: Path,
    topic: str,
    form: Form,
    to: SelfieKey | None,
    optional: dict[str, str],
    named: _Ids,
    capture: ClientCapture | None,
) -> _Sending:
    image = file.read_bytes()
    optional = optional if capture is None else {**optional, **capture.fields(image)}
    image = image if to is None else encrypt(image, to)
    new = NewSubmission(image=image, encrypted=to is not None, optional=optional, **named)
    return _Sending(file=file, new=new, outputs=[submission_output(new, topic, form)])


def _capture_of(
    file: Path, topic: str, form: Form, optional: dict[str, str], named: _Ids, capture: ClientCapture | None
) -> _Sending:
    if capture is None:
        raise ValueError("needs --session-token")
    frames = frames_of(file)
    optional = {**optional, **capture.fields(*(frame.image for frame in frames))}
    new = NewSubmission(optional=optional, **named)
    return _Sending(file=file, new=new, outputs=capture_outputs(new, frames, topic, form))


async def _submit(settings: Settings, sent: list[_Sending], wait: bool, timeout_s: float, json: bool) -> int:
    """Submissions published and their decisions shown; returns the number left without a decision."""
    decisions, believed = topic_name(Topic.DECISIONS, settings.kafka), believed_by(settings)
    if not wait:  # which needs no right to read decisions
        async with producer(settings.kafka) as client:
            for each in sent:
                await _publish(client, each)
                _sent(each, json)
        return 0
    async with reader(settings.kafka, decisions, from_start=False) as answers, producer(settings.kafka) as client:
        for each in sent:
            await _publish(client, each)
        waiting = {each.new.submission_id: each.file for each in sent}
        doubted = 0
        clock, band = asyncio.get_running_loop().time, settings.policy().inconclusive_band
        try:
            async with asyncio.timeout(timeout_s) as limit:
                async for record in answers.records():  # of all submissions: others' put the end off no longer
                    if not believed(record):
                        doubted += 1
                    elif _answered(record.value or b"", waiting, json, band):
                        limit.reschedule(clock() + timeout_s)
                    if not waiting:
                        break
        except TimeoutError:
            complain(f"no decision within {timeout_s:g} s for: {', '.join(str(file) for file in waiting.values())}")
            say(DOUBTED.format(doubted) if doubted else await _why(settings))
        return len(waiting)


async def _why(settings: Settings) -> str:
    """Hint where no decision came: what is known of why, and what helps."""
    workers = "no worker runs (start one: liveness worker), or it waits for Redis or Kafka (liveness health --ready)"
    try:
        async with asyncio.timeout(LOOK_S):
            unread = sum(each.lag for each in await look(settings, SystemClock()))
    except NO_LOOK:
        return f"Either {workers}, or it could not read the record: liveness tail dead-letter --from-start"
    if unread:
        return f"{unread} records are not decided on yet: {workers}, or has much to do. None of them is lost."
    return "Workers have read every record. What they could not read: liveness tail dead-letter --from-start"


async def _publish(client: AIOKafkaProducer, sending: _Sending) -> None:
    for output in sending.outputs:
        await send(client, output)


def _answered(value: bytes, waiting: dict[str, Path], json: bool, band: float) -> bool:
    """Whether the record was about one of the submissions that wait, and is shown."""
    try:
        event: dict[str, Any] = orjson.loads(value)
        file = waiting.pop(event["submission_id"], None)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False  # somebody else's record
    if file is None:
        return False
    try:
        print_line(value) if json else show(out, file.name, event, band)
    except NOT_SHOWN:
        say(plain(f"{file.name}: what was published on it is no decision"))
    return True


def _sent(sending: _Sending, json: bool) -> None:
    ids = {"submission_id": sending.new.submission_id, "correlation_id": sending.new.correlation_id}
    if json:
        print_json({"file": plain(str(sending.file)), **ids})
    else:
        out.print(plain(f"{sending.file.name}: submitted as {sending.new.submission_id}"), markup=False)
