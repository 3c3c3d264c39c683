"""`Analysis` to bytes and back, in JSON and by explicit constructors only.

The bytes come from a slot process, whose native decoder has read a stranger's picture, or from a topic.
Neither may run code here (hence no pickle) nor smuggle anything past the contract: an unknown or missing
field, a wrong type, a number that isn't finite or is out of range, a control character or too much of
anything raises `MalformedAnalysis`. Its words name the field and never quote the value.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import orjson

from config.error_codes import ErrorCode
from detectors.contract import Analysis, ModelVersion, PictureHashes, Reading, ReadingStatus, Template, UnknownReading

T = TypeVar("T")

#: Many times a full answer (eight readings are about 3 KB, the largest template 5.5 KB), and little enough to
#: parse at once.
MAX_BYTES = 128 * 1024

MAX_ITEMS = 64
MAX_CODE = 80
MAX_TEXT = 1000
#: Numbers of a template; those of known networks have 128 to 512.
MAX_DIMENSION = 1024
#: A day in milliseconds: no step or CPU time is longer.
MAX_MS = 86_400_000.0

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{16}", re.ASCII)
_MAX_VECTOR_TEXT = (4 * MAX_DIMENSION + 2) // 3 * 4

_STATUSES = {status.value: status for status in ReadingStatus}
_ERROR_CODES = {code.value: code for code in ErrorCode}

_READING_FIELDS = frozenset({"name", "label", "status", "liveness", "reason", "detail"})
_MODEL_FIELDS = frozenset({"name", "version", "sha256"})
_TEMPLATE_FIELDS = frozenset({"model", "model_sha256", "vector"})
_PICTURE_FIELDS = frozenset({"pixels_sha256", "perceptual"})
_ANALYSIS_FIELDS = frozenset(
    {"error", "message", "face_detected", "readings", "notes", "models", "elapsed_ms", "cpu_ms"}
    | {"template", "template_reason", "picture"}
)


class MalformedAnalysis(ValueError):
    """These bytes (or this object) are no `Analysis` the contract allows."""


def encode(analysis: Analysis) -> bytes:
    """JSON of a valid analysis; raises MalformedAnalysis for one that `decode` would refuse."""
    document = to_document(analysis)
    from_document(document)
    return orjson.dumps(document)


def decode(encoded: bytes | bytearray | memoryview) -> Analysis:
    """The analysis in these bytes, or MalformedAnalysis."""
    if len(encoded) > MAX_BYTES:
        raise MalformedAnalysis("too many bytes")
    try:
        document = orjson.loads(encoded)
    except orjson.JSONDecodeError:
        raise MalformedAnalysis("not JSON") from None
    return from_document(document)


def to_document(analysis: Analysis) -> dict[str, Any]:
    """Plain JSON types, to embed in a larger message."""
    return {
        "error": analysis.error.value if analysis.error is not None else None,
        "message": analysis.message,
        "face_detected": analysis.face_detected,
        "readings": [_reading_document(reading) for reading in analysis.readings],
        "notes": list(analysis.notes),
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256} for m in analysis.models],
        "template": _template_document(analysis.template),
        "template_reason": analysis.template_reason,
        "picture": _picture_document(analysis.picture),
        "elapsed_ms": dict(analysis.elapsed_ms),
        "cpu_ms": analysis.cpu_ms,
    }


def from_document(document: object) -> Analysis:
    """The checked inverse of `to_document`; raises MalformedAnalysis."""
    fields = _fields(document, _ANALYSIS_FIELDS, "analysis")
    error = None if fields["error"] is None else _error_code(fields["error"])
    readings = _items(fields["readings"], "readings", _reading)
    if error is not None and readings:
        raise MalformedAnalysis("readings beside an error")
    if len({reading.name for reading in readings}) != len(readings):
        raise MalformedAnalysis("two readings of one name")
    template, picture = _template(fields["template"]), _picture(fields["picture"])
    if error is not None and (template is not None or picture is not None):
        raise MalformedAnalysis("a template or a picture's hashes beside an error")
    if template is not None and fields["template_reason"] != "":
        raise MalformedAnalysis("a template, and a reason why there is none")
    return Analysis(
        error=error,
        message=_text(fields["message"], "message"),
        face_detected=_flag(fields["face_detected"], "face_detected"),
        readings=readings,
        notes=_items(fields["notes"], "notes", lambda note: _code(note, "note")),
        models=_items(fields["models"], "models", _model),
        template=template,
        template_reason=_optional_code(fields["template_reason"], "template_reason"),
        picture=picture,
        elapsed_ms=_elapsed(fields["elapsed_ms"]),
        cpu_ms=_number(fields["cpu_ms"], "cpu_ms", MAX_MS),
    )


def _reading_document(reading: Reading) -> dict[str, Any]:
    return {
        "name": reading.name,
        "label": reading.label,
        "status": reading.status.value,
        "liveness": reading.liveness,
        "reason": reading.reason,
        "detail": reading.detail,
    }


def _reading(document: object) -> Reading:
    fields = _fields(document, _READING_FIELDS, "reading")
    try:
        return Reading(
            name=_code(fields["name"], "reading name"),
            label=_text(fields["label"], "label"),
            status=_status(fields["status"]),
            liveness=_number(fields["liveness"], "liveness", 1.0),
            reason=_optional_code(fields["reason"], "reason"),
            detail=_text(fields["detail"], "detail"),
        )
    except MalformedAnalysis:
        raise
    except ValueError as error:  # the contract's own rules, whose words may quote the name
        unknown = isinstance(error, UnknownReading)
        words = str(error) if unknown else "only a scored reading carries a liveness"
        raise MalformedAnalysis(words) from None


def _model(document: object) -> ModelVersion:
    fields = _fields(document, _MODEL_FIELDS, "model")
    return ModelVersion(
        name=_text(fields["name"], "model name"),
        version=_text(fields["version"], "model version"),
        sha256=_sha256(fields["sha256"], "sha256"),
    )


def _template_document(template: Template | None) -> dict[str, Any] | None:
    if template is None:
        return None
    vector = base64.b64encode(template.vector).decode("ascii")
    return {"model": template.model, "model_sha256": template.model_sha256, "vector": vector}


def _template(document: object) -> Template | None:
    if document is None:
        return None
    fields = _fields(document, _TEMPLATE_FIELDS, "template")
    return Template(
        model=_code(fields["model"], "template model"),
        model_sha256=_sha256(fields["model_sha256"], "model_sha256"),
        vector=_vector(fields["vector"]),
    )


def _vector(value: object) -> bytes:
    """Little-endian float32, at least one and all finite; in the one base64 spelling they have."""
    if not isinstance(value, str) or len(value) > _MAX_VECTOR_TEXT or not value.isascii():
        raise MalformedAnalysis(f"vector is not base64 of at most {MAX_DIMENSION} numbers")
    try:
        vector = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise MalformedAnalysis("vector is not base64") from None
    if not vector or len(vector) % 4 or base64.b64encode(vector).decode("ascii") != value:
        raise MalformedAnalysis("vector is not whole float32 numbers in base64")
    if not np.isfinite(np.frombuffer(vector, "<f4")).all():
        raise MalformedAnalysis("vector has a number that is not finite")
    return vector


def _picture_document(picture: PictureHashes | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    return {"pixels_sha256": picture.pixels_sha256, "perceptual": f"{picture.perceptual:016x}"}


def _picture(document: object) -> PictureHashes | None:
    if document is None:
        return None
    fields = _fields(document, _PICTURE_FIELDS, "picture")
    perceptual = fields["perceptual"]
    if not isinstance(perceptual, str) or not _HEX64.fullmatch(perceptual):
        raise MalformedAnalysis("perceptual is not 16 lower-case hex digits")
    return PictureHashes(
        pixels_sha256=_sha256(fields["pixels_sha256"], "pixels_sha256"), perceptual=int(perceptual, 16)
    )


def _fields(document: object, names: frozenset[str], what: str) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != names:
        raise MalformedAnalysis(f"{what} does not have exactly its fields")
    return document


def _items(document: object, what: str, item: Callable[[object], T]) -> tuple[T, ...]:
    if not isinstance(document, list) or len(document) > MAX_ITEMS:
        raise MalformedAnalysis(f"{what} is not a list of at most {MAX_ITEMS}")
    return tuple(item(each) for each in document)


def _elapsed(document: object) -> dict[str, float]:
    if not isinstance(document, dict) or len(document) > MAX_ITEMS:
        raise MalformedAnalysis(f"elapsed_ms is not a table of at most {MAX_ITEMS}")
    return {_code(step, "step"): _number(ms, "elapsed_ms", MAX_MS) for step, ms in document.items()}


def _number(value: object, what: str, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedAnalysis(f"{what} is not a number")
    if not 0 <= value <= highest or math.isnan(value):
        raise MalformedAnalysis(f"{what} is out of range")
    return float(value)


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise MalformedAnalysis(f"{what} is not true or false")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise MalformedAnalysis(f"{what} is not at most {MAX_TEXT} characters of text")
    if not value.isprintable() and _CONTROL.search(value):  # the first test is cheap, the second one exact
        raise MalformedAnalysis(f"{what} has control characters")
    return value


def _code(value: object, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_CODE or not _CODE.fullmatch(value):
        raise MalformedAnalysis(f"{what} is not a code of at most {MAX_CODE} characters")
    return value


def _optional_code(value: object, what: str) -> str:
    return "" if value == "" else _code(value, what)


def _sha256(value: object, what: str) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise MalformedAnalysis(f"{what} is not 64 lower-case hex digits")
    return value


def _status(value: object) -> ReadingStatus:
    status = _STATUSES.get(value) if isinstance(value, str) else None
    if status is None:
        raise MalformedAnalysis("status is unknown")
    return status


def _error_code(value: object) -> ErrorCode:
    code = _ERROR_CODES.get(value) if isinstance(value, str) else None
    if code is None:
        raise MalformedAnalysis("error code is unknown")
    return code
