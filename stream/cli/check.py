"""`liveness check`: one picture, judged on this machine without Kafka or Redis, by the code of the worker."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from config import settings as configuration
from config.policy import Policy
from config.settings import Settings
from detectors.contract import Analysis, Frame
from stream.bootstrap.slots import open_pool
from stream.cli.console import ExitCode, JsonOption, out, plain, print_line, say
from stream.cli.decision_view import show
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection, Refusal
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.detection.detect_stage import finding_of
from stream.pipeline.intake.intake import check_image
from stream.pipeline.verdict.verdict import verdict_on
from stream.runtime.clock import SystemClock


def command(
    photo: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A JPEG, PNG, WebP or BMP file.")],
    annotate: Annotated[
        Path | None, typer.Option(help="Write a PNG with landmarks, face box and head pose drawn in.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the verdict on a photo, each signal, and what to change. Exit 1 if it could not be analysed."""
    if annotate is not None:
        _refuse_place(annotate, photo)
    settings = configuration.load()
    policy = settings.policy()
    image = photo.read_bytes()
    detection = asyncio.run(_detect(image, settings, policy))
    assert isinstance(detection.finding, tuple | Refusal)  # nothing is stored here
    verdict = verdict_on(detection.finding, policy)
    event = decision_event(detection, verdict, policy, SystemClock().now_ms())
    print_line(encode(event)) if json else show(out, photo.name, event, policy.inconclusive_band)
    if verdict.error is not None:
        if annotate is not None:
            say("nothing to draw: the picture could not be analysed")
        raise typer.Exit(ExitCode.FAILURE)
    if annotate is not None:
        _annotate(image, annotate, settings, policy)


def _refuse_place(annotate: Path, photo: Path) -> None:
    """Place of the drawing checked: not the photograph itself, in an existing folder. Raises BadParameter."""
    if annotate.resolve() == photo.resolve():
        raise typer.BadParameter("that is the photo itself", param_hint="--annotate")
    if not annotate.resolve().parent.is_dir():
        raise typer.BadParameter("there is no such folder", param_hint="--annotate")


async def _detect(image: bytes, settings: Settings, policy: Policy) -> Detection:
    clock = SystemClock()
    started_ms, started = clock.now_ms(), clock.monotonic()
    digest = hashlib.sha256(image).hexdigest()
    finding: tuple[Analysis, ...] | Refusal | None = check_image(image, policy.image)
    if finding is None:
        pool = open_pool(settings, policy, slots=1)
        await pool.start()
        started_ms, started = clock.now_ms(), clock.monotonic()
        try:
            finding = finding_of(await pool.analyse((Frame(image),)))
        finally:
            await pool.stop()
    return Detection(
        ids=SubmissionIds(submission_id=f"check-{digest[:16]}"),
        fingerprint=digest[:32],
        appended_at_ms=started_ms,
        finding=finding,
        detection_ms=(clock.monotonic() - started) * 1000,
    )


def _annotate(image: bytes, path: Path, settings: Settings, policy: Policy) -> None:
    from detectors.analysis import FaceAnalyser
    from detectors.annotation import annotate
    from detectors.native_output import native_stderr_silenced

    with native_stderr_silenced():
        analyser = FaceAnalyser(policy, settings.detection.face_landmarker_bundle)
        annotate(analyser.look(image), path)
    say(escape(plain(f"drawn to {path}")))
