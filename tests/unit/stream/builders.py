"""Records, readings and detections for tests; each builder takes only the fields a test is about."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Analysis, ModelVersion, Reading, ReadingStatus
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection, Headers, Poison, Record, Refusal, Rejected, Submission
from stream.pipeline.intake import intake

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER_GUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 2
OTHER_IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(64)
FINGERPRINT = "0123456789abcdef0123456789abcdef"
#: Text that must never be quoted: it stands in every field a test makes wrong.
SECRET = "Zebra-Secret"
APPENDED_AT_MS = 1_700_000_000_000

JSON_TYPE = ("content-type", b"application/json")
STRUCTURED_TYPE = ("content-type", b"application/cloudevents+json; charset=utf-8")


def base64_of(image: bytes = IMAGE) -> str:
    return base64.b64encode(image).decode("ascii")


def record(value: bytes | None, headers: Headers = (), key: bytes | None = None) -> Record:
    place = {"topic": "liveness.submissions", "partition": 3, "offset": 17}
    return Record(**place, key=key, value=value, headers=headers, appended_at_ms=APPENDED_AT_MS)


def selfie(**changes: Any) -> dict[str, Any]:
    """Fields of a submission; a field set to `...` is left out."""
    fields = {"submission_id": "sub-1", "correlation_id": GUID, "image": base64_of(), **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def bare(**changes: Any) -> Record:
    return record(orjson.dumps(selfie(**changes)))


def event_attributes(**changes: Any) -> dict[str, Any]:
    fields = {
        "specversion": "1.0",
        "type": "liveness.submission.v1",
        "source": "/onboarding",
        "id": "event-1",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def structured(data: Any = ..., **attributes: Any) -> Record:
    event = event_attributes(**attributes)
    if data is not ...:
        event["data"] = data
    return record(orjson.dumps(event), (STRUCTURED_TYPE,))


def ce_headers(content_type: bytes | None = b"image/jpeg", **attributes: Any) -> Headers:
    """Binary-mode headers; values that are bytes go in as they are."""
    wrapped = tuple(
        ("ce_" + name, value if isinstance(value, bytes) else str(value).encode())
        for name, value in event_attributes(**attributes).items()
    )
    return wrapped if content_type is None else (*wrapped, ("content-type", content_type))


def binary(image: bytes | None = IMAGE, **attributes: Any) -> Record:
    return record(image, ce_headers(**{"subject": "sub-1", "correlationid": GUID, **attributes}))


def module(resource: Any = "sub-1", **selfie_fields: Any) -> Record:
    fields = {"selfieImage": base64_of(), **selfie_fields}
    biometrics = [{name: value for name, value in fields.items() if value is not ...}]
    document = {"resourceId": resource, "context": {"subject": {"biometrics": biometrics}}}
    return record(orjson.dumps(document), key=GUID.encode())


def read(given: Record, limits: ImageLimits | None = None) -> Submission | Rejected | Poison:
    return intake.read(given, limits or ImageLimits())


def rejected(given: Record, error: ErrorCode = ErrorCode.INVALID_REQUEST, message: str | None = None) -> Rejected:
    """Rejection of a record for this reason, in words that quote nothing."""
    answer = read(given)
    assert isinstance(answer, Rejected), answer
    assert (answer.error, bool(answer.message)) == (error, True)
    assert SECRET not in answer.message
    assert message is None or answer.message == message
    return answer


def ids(**changes: Any) -> SubmissionIds:
    return SubmissionIds(**{"submission_id": "sub-1", "correlation_id": GUID, **changes})


def reading(name: str, liveness: float | None = 0.9, **changes: Any) -> Reading:
    """Reading, scored, or failed for None."""
    status = ReadingStatus.FAILED if liveness is None else ReadingStatus.SCORED
    fields = {"name": name, "label": SIGNAL_LABELS.get(name, name), "detail": "measured", **changes}
    return Reading(status=status, liveness=liveness or 0.0, **fields)


def analysis(values: Mapping[str, float | None] | float = 0.9, **changes: Any) -> Analysis:
    """Analysis with every signal at one value, or the signals given by name."""
    if isinstance(values, float | int):
        values = dict.fromkeys(SIGNAL_LABELS, float(values))
    fields: dict[str, Any] = {
        "face_detected": True,
        "readings": tuple(reading(name, value) for name, value in values.items()),
        "models": (ModelVersion(name="mesh", version="1", sha256="ab" * 32),),
        "elapsed_ms": {"gate": 0.1, "decode": 2.0, "mesh": 3.0, "framing": 0.1, "signals": 1.5},
        "cpu_ms": 7.0,
        **changes,
    }
    return Analysis(**fields)


def frames_of(finding: Any) -> Any:
    """Finding as a detection carries it: one analysis a frame."""
    return (finding,) if isinstance(finding, Analysis) else finding


def detection(finding: Any = None, **changes: Any) -> Detection:
    fields: dict[str, Any] = {
        "ids": ids(),
        "fingerprint": FINGERPRINT,
        "appended_at_ms": APPENDED_AT_MS,
        "finding": frames_of(analysis() if finding is None else finding),
        "queue_ms": 4.0,
        "detection_ms": 12.5,
        **changes,
    }
    return Detection(**fields)


__all__ = ["Poison", "Refusal", "Rejected", "Submission"]
