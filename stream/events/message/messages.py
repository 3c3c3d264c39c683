"""The values that flow from a Kafka record to a decision: frozen, and free of Kafka, Redis and Faust."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from abuse.links.reuse_references import NO_REFERENCES, ReuseReferences
from abuse.observation import NOWHERE, Origin
from abuse.pictures.media_keys import KeyedImageHashes
from config.catalogues.error_codes import ErrorCode
from config.strict_json import StrictJson
from detectors.contract import Analysis, Frame
from detectors.contract_fields import OptionalCode
from stream.events.message.findings import CaptureFinding, FaceComparison, GroupResult, SessionImage
from stream.events.message.ids import SubmissionIds
from stream.events.message.session_terms import FrameContext, FramePart, SessionTerms

Headers = tuple[tuple[str, bytes], ...]

#: Marks the stand-in for a batch that can't be read (`stream.kafka.clients.record_reading`).
UNREADABLE_BATCH_HEADER = "liveness_unreadable_batch"
#: Marks a record some of whose headers were not kept, being too many or too large (same place).
HEADERS_CUT_HEADER = "liveness_headers_cut"

#: Holds the fields of a session that an event tells of (`stream.events.wire.session_events`).
SESSION_HEADER = "liveness_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Kafka record as read. `appended_at_ms`: UTC milliseconds, by the broker's clock if `dated_by_broker`; else the
    time is the sender's, as on a topic without LogAppendTime, or 0 for none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    appended_at_ms: int
    dated_by_broker: bool = False

    @property
    def place(self) -> dict[str, object]:
        """Position of the record, for log lines."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


class Fault(StrEnum):
    """Kind of failure that an output tells of, for the circuit breaker (`stream.kafka.agents.breaker`)."""

    #: A record set aside after work that failed.
    DEAD_LETTER = "dead_letter"
    #: A record set aside since its writer spoilt it: anybody who may write can do that, on and on.
    POISON = "poison"
    #: A record set aside because nobody who may write such a record has written it: no sign of a failing worker.
    FORGED = "forged"
    #: A submission that was not analysed although nothing is wrong with the submission.
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Record to be published: raw bytes and headers, so that a duplicate is the same bytes again."""

    topic: str
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    fault: Fault | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureContext:
    """Origin of a submission, as the publisher tells it; personal data, never shown in logs or repr."""

    client_ip: str | None = field(default=None, repr=False)
    #: The network `client_ip` should be in, as the publisher expects; one address is a network of its own.
    expected_client_ip: str | None = field(default=None, repr=False)
    device_id: str | None = field(default=None, repr=False)
    captured_at: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Submission to be analysed. `fingerprint` tells a duplicate from another picture under the same id;
    `image_sha256` is of the first frame's file, lower-case hex."""

    ids: SubmissionIds
    context: CaptureContext
    frames: tuple[Frame, ...]
    image_sha256: str
    fingerprint: str
    appended_at_ms: int
    dated_by_broker: bool = False
    #: Sent encrypted, and so judged by the two flags of face and injection.
    encrypted: bool = False
    #: A context a frame where the publisher told any; else empty.
    contexts: tuple[FrameContext, ...] = ()
    #: Token of the session, a compact JWS; a credential, never shown.
    session_token: str | None = field(default=None, repr=False)
    #: Place of the one frame in a submission of a record a frame; None where the record holds all frames.
    part: FramePart | None = None
    #: Picture of the person to compare with; no frame of the check.
    reference: Frame | None = None
    #: The client's statement about the capture, a compact JWS.
    capture_attestation: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Submission that can be named but not analysed: answered by a decision that says why."""

    ids: SubmissionIds
    context: CaptureContext
    error: ErrorCode
    message: str
    fingerprint: str
    appended_at_ms: int
    dated_by_broker: bool = False
    #: As in a submission, where the place could be read.
    part: FramePart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """Poison: a record for which nobody can be answered; set aside as a dead letter, bytes unchanged."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(StrictJson):
    """Refusal to analyse: an error of the closed table with words that quote nothing of the event.

    `counts`: whether the submission is an attempt of the sender. A refusal at the gate is no attempt, nor a refusal
    because another sender had used the submission id. `reason`: a code narrower than the error's, in snake_case, for
    the decision's reasons.
    """

    __newer_fields__: ClassVar[frozenset[str]] = frozenset(("reason",))

    error: ErrorCode
    message: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
    counts: bool = True
    reason: OptionalCode = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyDecided:
    """Duplicate: the stored decision, to be published once more unchanged."""

    decision: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Detection, from the detect to the decide agent: small, no pixels, keyed by correlation id.

    An analysed submission has an analysis a frame, in the order of the frames.
    """

    ids: SubmissionIds
    fingerprint: str
    appended_at_ms: int
    dated_by_broker: bool = False
    finding: tuple[Analysis, ...] | Refusal | AlreadyDecided
    origin: Origin = NOWHERE
    references: ReuseReferences = NO_REFERENCES
    queue_ms: float = 0.0
    detection_ms: float = 0.0
    encrypted: bool = False
    #: Terms of the session whose token came with the submission; None without a session.
    session: SessionTerms | None = None
    #: As in the submission.
    contexts: tuple[FrameContext, ...] = ()
    part: FramePart | None = None
    #: Distance of each frame's face to that of the first frame with a face; None for a frame that was not compared,
    #: and 0 for that first one. Empty for one frame.
    face_distances: tuple[float | None, ...] = ()
    #: Digest of each frame's pixels, bound to the submission's ids: equal for the same pixels within one submission,
    #: and comparable with nothing else. Empty for one frame that is no part.
    pixels: tuple[str | None, ...] = field(default=(), repr=False)
    #: Keyed hashes of the frames of an active check, for the frame index; of each first those under the key in force.
    frame_hashes: tuple[KeyedImageHashes, ...] = field(default=(), repr=False)
    #: Digest of the pictures' files, bound to the submission's ids; None where no detector group is waited for.
    content: str | None = None
    #: What detector groups found, once the submission's parts were joined; not on the wire.
    groups: tuple[GroupResult, ...] = ()

    #: Finding on the capture's attestation; None without a session.
    capture: CaptureFinding | None = None
    #: Comparison with the reference image; None without one.
    verification: FaceComparison | None = None
    #: Best picture of the person; None without a session, and for a record of a later frame.
    session_image: SessionImage | None = None

    @property
    def session_id(self) -> str | None:
        """Session of the submission: that of its token, else as submitted."""
        return self.ids.session_id if self.session is None else self.session.session_id
