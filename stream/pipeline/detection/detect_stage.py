"""Detect stage: one submission record in, the outputs that must be confirmed before it is acknowledged.

intake -> admission -> detection. Every record ends in a detection for the decide agent, a dead letter, or
both (a picture that crashed its slot twice: the bytes are set aside and the submission is still answered).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from abuse.observation import Origin
from abuse.origins import OriginReader
from config.catalogues.error_codes import MEANING, ErrorCode
from config.limits.abuse import FACE_REUSE
from config.policy import Policy
from detectors.contract import Analysis, Frame
from detectors.contract_fields import MAX_MS
from detectors.injection.capture_times import capture_times
from detectors.pool.outcomes import FramePool, PoolOutcome, SlotCrashed, SlotTimeout
from detectors.template.impostors import ImpostorModel
from stream.encryption.key_folder import KeyFolder
from stream.events.message.messages import (
    AlreadyDecided,
    Detection,
    Fault,
    Output,
    Poison,
    Record,
    Refusal,
    Rejected,
    Submission,
)
from stream.events.message.session_terms import SessionTerms
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.detection_codec import detection_output
from stream.events.wire.event_times import EventTimes
from stream.pipeline.admission.admission import Admission, Admitted
from stream.pipeline.admission.session_refusals import frames_refusal
from stream.pipeline.capture.attestation import capture_finding
from stream.pipeline.capture.compared_frames import NOT_COMPARED, ComparedFrames, Kinds, compared_frames, content_of
from stream.pipeline.capture.marking import ReferenceExtractor
from stream.pipeline.capture.reference_face import compared
from stream.pipeline.capture.session_images import SessionImages
from stream.pipeline.capture.verification import reference_refusal
from stream.pipeline.detection.fair_turns import FairTurns, Turn
from stream.pipeline.intake import intake
from stream.runtime import metrics
from stream.runtime.clock import Clock

log = structlog.get_logger()

SLOT_CRASH_REASON = "SLOT_CRASHED_TWICE"
#: Refusals of a picture to which its slot gave no answer.
NO_ANSWER = frozenset({ErrorCode.DETECTOR_TIMEOUT, ErrorCode.INFERENCE_ERROR})
#: Errors for which neither the picture nor its sender need be to blame.
INTERNAL = NO_ANSWER | {ErrorCode.SERVER_ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectStage:
    """Stage of the detect agent, pure of Kafka and Faust.

    `handle` is called by the agent for each record and may be repeated; waits for slots, store and abuse table, and
    raises only for bugs and `DependencyTimeout`.
    """

    analyser: FramePool
    turns: FairTurns
    admission: Admission
    origins: OriginReader
    marker: ReferenceExtractor
    images: SessionImages
    clock: Clock
    times: EventTimes
    policy: Policy
    detections_topic: str
    dead_letters: DeadLetters
    source: str
    #: How face templates are compared, by model.
    template_kinds: Kinds = field(default_factory=dict)
    #: Keys of encrypted selfies.
    keys: KeyFolder | None = None
    #: Session tokens are looked at; otherwise what belongs to a session is refused by name.
    sessions: bool = False
    #: How alike strangers look to the template model; None where no faces are compared.
    impostors: ImpostorModel | None = None

    async def handle(self, record: Record) -> Sequence[Output]:
        read = await self._read(record)
        if isinstance(read, Poison):
            return [self.dead_letters.poison(record, read)]
        read = replace(read, appended_at_ms=await self.times.counted(read.appended_at_ms))
        origin = self._origin(read)
        if isinstance(read, Rejected):
            return await self._detected(read, origin, record)
        async with self.turns.turn(*_senders(read, origin)) as turn:
            return await self._detected(read, origin, record, turn)

    async def _detected(
        self, read: Submission | Rejected, origin: Origin, record: Record, turn: Turn | None = None
    ) -> Sequence[Output]:
        started = self.clock.monotonic()
        queue_ms = float(min(max(self.clock.now_ms() - read.appended_at_ms, 0), MAX_MS))
        metrics.OLDEST_UNREAD_SECONDS.set(queue_ms / 1000)
        begun = replace(_begun(read), origin=origin, queue_ms=queue_ms)
        if isinstance(read, Submission):
            begun = replace(begun, encrypted=read.encrypted, contexts=read.contexts)
        found, outputs = await self._found(read, begun, record, turn)
        content, took_ms = await self._content(read), (self.clock.monotonic() - started) * 1000
        metrics.observe_stage("detection", took_ms / 1000)
        return [*outputs, self._output(replace(found, content=content, detection_ms=took_ms))]

    async def answer(self, record: Record) -> Sequence[Output]:
        read = await self._read(record)
        if isinstance(read, Poison):
            return []
        read = replace(read, appended_at_ms=await self.times.counted(read.appended_at_ms))
        failed = replace(_begun(read), finding=refusal_for(ErrorCode.SERVER_ERROR))
        return [self._output(replace(failed, session=await self._attempt_of(read)))]

    async def _attempt_of(self, read: Submission | Rejected) -> SessionTerms | None:
        """Terms of the attempt that a submission on which the stage failed has taken, to be given back."""
        if isinstance(read, Rejected) or read.session_token is None:
            return None
        try:
            terms = await self.admission.sessions.admit(read, required=False)
        except Exception as error:
            # The gate may be what failed: the answer matters more than the attempt.
            log.error("session_attempt_unknown", fault=type(error).__name__)
            return None
        return terms if isinstance(terms, SessionTerms) else None

    async def _read(self, record: Record) -> Submission | Rejected | Poison:
        """Intake, in a thread where selfies may be encrypted: opening one of 2 MB takes 20 ms, one of 10 MB 120 ms."""
        if self.keys is None:
            return intake.read(record, self.policy.image, sessions=self.sessions)
        return await asyncio.to_thread(intake.read, record, self.policy.image, self.keys, sessions=self.sessions)

    def _output(self, detection: Detection) -> Output:
        output = detection_output(detection, self.detections_topic, self.source)
        return replace(output, fault=Fault.INTERNAL if _errors(detection) & INTERNAL else None)

    def _origin(self, read: Submission | Rejected) -> Origin:
        """Origin with address and device hashed: nothing after this stage knows either in the clear."""
        told = read.context
        named = {"device_id": told.device_id, "client_ip": told.client_ip, "expected": told.expected_client_ip}
        return self.origins.origin(read.ids.tenant, **named, at_ms=read.appended_at_ms)

    async def _found(
        self, read: Submission | Rejected, begun: Detection, record: Record, turn: Turn | None
    ) -> tuple[Detection, Sequence[Output]]:
        """Detection with its finding and what goes along, and the outputs to publish before."""
        if isinstance(read, Rejected):
            return replace(begun, finding=Refusal(error=read.error, message=read.message)), ()
        admission = await self.admission.admit(read, begun.origin)
        if not isinstance(admission, Admitted):
            return replace(begun, finding=admission), ()
        terms, refused = admission.session, None
        if terms is not None:
            begun = replace(begun, session=terms, capture=capture_finding(read, terms))
            keyed = self.marker.keys is not None
            refused = frames_refusal(read, terms, keyed=keyed) or reference_refusal(read, terms)
        if refused is not None:
            return replace(begun, finding=refused), ()
        measured = terms is not None and terms.active
        finding, letters = await self._detect(read, record, measured=measured)
        if turn is not None:
            turn.cost = _cost_ms(finding, self.policy)
        if isinstance(finding, Refusal):
            return replace(begun, finding=finding), letters
        finding, reference = finding[: len(read.frames)], finding[len(read.frames) :]
        # The join compares the faces of parts by their references; the abuse stage drops what no rule needs.
        active = admission.active if read.part is None else admission.active | {FACE_REUSE}
        image, pictures = (None, []) if terms is None else await self.images.image(read, terms, finding)
        frames = self._compared(read, finding)
        found = replace(
            begun,
            finding=tuple(replace(analysis, template=None, picture=None) for analysis in finding),
            references=self.marker.references(read, finding[0], active),
            face_distances=frames.face_distances,
            pixels=frames.pixels,
            frame_hashes=self.marker.frame_hashes(read, finding) if measured else (),
            session_image=image,
            verification=compared(reference[0], finding, read.contexts, self.impostors) if reference else None,
        )
        return found, [*letters, *pictures]

    def _compared(self, read: Submission, finding: tuple[Analysis, ...]) -> ComparedFrames:
        """Comparison of the frames that are here; of a record a frame the join makes it."""
        if read.part is None and len(finding) == 1:
            return NOT_COMPARED
        return compared_frames(read.ids, finding, self.template_kinds)

    async def _content(self, read: Submission | Rejected) -> str | None:
        """Digest of the pictures, for installations with detector groups."""
        if not self.policy.groups or not isinstance(read, Submission):
            return None
        return await asyncio.to_thread(content_of, read)

    async def _detect(
        self, submission: Submission, record: Record, *, measured: bool
    ) -> tuple[tuple[Analysis, ...] | Refusal, list[Output]]:
        try:
            async with asyncio.timeout(self.policy.deadlines.event_s):
                found = await self.analyser.analyse(pictures_of(submission), measured=measured)
        except TimeoutError:
            return refusal_for(ErrorCode.SERVER_ERROR), []
        letters = []
        if isinstance(found, SlotCrashed):
            where = {"partition": record.partition, "offset": record.offset}
            log.error("slot_crashed_twice", **where, cause=found.cause, code=found.code)
            why = "the picture ended its slot process twice"
            letters.append(self.dead_letters.letter(record, reason=SLOT_CRASH_REASON, message=why))
        finding = finding_of(found)
        if not isinstance(finding, tuple):
            return finding, letters
        for analysis in finding:
            metrics.observe_analysis(analysis.elapsed_ms, analysis.cpu_ms)
        return tuple(_with_capture_times(analysis, submission) for analysis in finding), letters


def _begun(read: Submission | Rejected) -> Detection:
    """Detection of a record before anything is found."""
    return Detection(
        ids=read.ids, fingerprint=read.fingerprint, appended_at_ms=read.appended_at_ms, finding=(), part=read.part
    )


def _senders(read: Submission, origin: Origin) -> list[tuple[str, ...]]:
    """Senders that share the slots, the widest first."""
    tenant = read.ids.tenant or ""
    devices = [] if origin.device is None else [("device", tenant, origin.device.key)]
    return [("tenant", tenant), ("correlation id", tenant, read.ids.correlation_id or ""), *devices]


def pictures_of(submission: Submission) -> tuple[Frame, ...]:
    """Pictures of a submission's job: its frames, and the reference image behind them."""
    return submission.frames if submission.reference is None else (*submission.frames, submission.reference)


def _with_capture_times(analysis: Analysis, submission: Submission) -> Analysis:
    """Analysis of a frame with the indications of the camera's time in place of the time in its metadata."""
    if not analysis.taken_at:
        return analysis
    received_ms, captured_at = submission.appended_at_ms, submission.context.captured_at
    found = tuple(capture_times(analysis.taken_at, received_ms=received_ms, captured_at=captured_at))
    return replace(analysis, indications=analysis.indications + found, taken_at="")


def _cost_ms(finding: tuple[Analysis, ...] | Refusal, policy: Policy) -> float:
    """Processor time that a slot spent, milliseconds; the deadline for a slot that gave no answer, and 0, unknown, for
    a picture that was refused."""
    if isinstance(finding, Refusal):
        return policy.deadlines.detector_s * 1000 if finding.error in NO_ANSWER else 0.0
    return sum(analysis.cpu_ms for analysis in finding)


def finding_of(found: PoolOutcome) -> tuple[Analysis, ...] | Refusal:
    """Finding for what the pool returned: a slot killed at its deadline or crashed twice is a refusal."""
    if isinstance(found, SlotTimeout):
        return refusal_for(ErrorCode.DETECTOR_TIMEOUT)
    if isinstance(found, SlotCrashed):
        return refusal_for(ErrorCode.INFERENCE_ERROR)
    return found


def _errors(detection: Detection) -> set[ErrorCode | None]:
    match detection.finding:
        case Refusal(error=error):
            return {error}
        case AlreadyDecided():
            return set()
        case analyses:
            return {analysis.error for analysis in analyses}


def refusal_for(error: ErrorCode) -> Refusal:
    """Refusal in the words of the table of error codes."""
    return Refusal(error=error, message=MEANING[error][0])
