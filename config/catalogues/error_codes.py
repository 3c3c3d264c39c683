"""The error codes a decision can carry: one closed table, so that every code has a meaning and a next step.

A code says why a submission got no analysis; it is never a failure of the person. The words are fixed
per code: they never repeat anything a client sent.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Machine-readable reason in `error.code` of a decision and in the dead-letter headers."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    DECRYPTION_FAILED = "DECRYPTION_FAILED"
    DUPLICATE_MISMATCH = "DUPLICATE_MISMATCH"
    SESSION_INVALID = "SESSION_INVALID"
    ENVIRONMENT_NOT_SUPPORTED = "ENVIRONMENT_NOT_SUPPORTED"
    SUBJECT_PAUSED = "SUBJECT_PAUSED"
    SUBJECT_BLOCKED = "SUBJECT_BLOCKED"
    NO_FACE_DETECTED = "NO_FACE_DETECTED"
    MULTIPLE_FACES = "MULTIPLE_FACES"
    DETECTOR_TIMEOUT = "DETECTOR_TIMEOUT"
    INFERENCE_ERROR = "INFERENCE_ERROR"
    SERVER_ERROR = "SERVER_ERROR"


#: code -> (what happened, what the sender should do)
MEANING: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.INVALID_REQUEST: (
        "the submission or its image is missing, malformed or incomplete",
        "mend the event as the message says and send it under a new submission id",
    ),
    ErrorCode.UNSUPPORTED_FORMAT: (
        "the image is not a still JPEG, PNG, WebP or BMP",
        "send one of these formats, one frame",
    ),
    ErrorCode.IMAGE_TOO_LARGE: (
        "the image has more bytes or pixels than the policy allows",
        "scale the picture down before sending",
    ),
    ErrorCode.DECRYPTION_FAILED: (
        "the image is encrypted and no key here opens it",
        "encrypt it again, to a key that this service has now",
    ),
    ErrorCode.DUPLICATE_MISMATCH: (
        "this submission id was used before with other content",
        "use a new submission id for every new picture",
    ),
    ErrorCode.SESSION_INVALID: (
        "the session or its token does not allow this submission",
        "create a session and send its token, as the reason says",
    ),
    ErrorCode.ENVIRONMENT_NOT_SUPPORTED: (
        "the light is too strong for this kind of check",
        "move to a darker place, or answer the challenges of an active check; no attempt was spent",
    ),
    ErrorCode.SUBJECT_PAUSED: (
        "too many tries in a short time: nothing is analysed until the pause is over",
        "wait as long as the message says, then submit again",
    ),
    ErrorCode.SUBJECT_BLOCKED: (
        "abuse was found: nothing is analysed until the block ends or a reviewer overrides it",
        "have a reviewer look at the flags named in the decision",
    ),
    ErrorCode.NO_FACE_DETECTED: (
        "no face was found in the image",
        "retake: whole face in view, good light, arm's length",
    ),
    ErrorCode.MULTIPLE_FACES: (
        "more than one face is in the image",
        "retake with only the person being checked in view",
    ),
    ErrorCode.DETECTOR_TIMEOUT: (
        "the analysis did not finish before its deadline",
        "send the picture again, smaller if it is very large",
    ),
    ErrorCode.INFERENCE_ERROR: (
        "the analysis failed on this image",
        "retry once; if it happens again, quote the request id to support",
    ),
    ErrorCode.SERVER_ERROR: (
        "the service could not finish this submission in time",
        "retry; if it happens again, quote the request id to support",
    ),
}
